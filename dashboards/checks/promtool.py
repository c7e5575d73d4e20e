"""Runs promtool."""

import subprocess


def run(*arguments):
    """Whether promtool is content, and what it said."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr
