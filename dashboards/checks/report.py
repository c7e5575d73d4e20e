"""Counts what was looked at and prints what was found wrong, one line each."""

from contextlib import contextmanager


class Report:
    def __init__(self):
        self.checks = self.failed = 0

    def expect(self, holds, place, message):
        if not holds:
            self.fail(place, message)
            return False
        self.checks += 1
        return True

    def fail(self, place, message):
        self.checks += 1
        self.failed += 1
        print(f"{place}: {' '.join(str(message).split())}")

    @contextmanager
    def reading(self, place):
        """A file of another shape than expected is a finding, not a traceback."""
        try:
            yield
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            self.fail(place, f"cannot be read further: {type(error).__name__}: {error}")

    def close(self):
        print(f"{self.checks} checks, {self.failed} failed")
        return 1 if self.failed else 0
