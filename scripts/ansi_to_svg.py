#!/usr/bin/env python3
"""Renders a terminal's screen (text with SGR attributes, from stdin) as an SVG on stdout: ansi_to_svg.py TITLE"""
import re
import sys
from xml.sax.saxutils import escape

COLOURS = ["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9"]
BRIGHT = ["#7f848e", "#ff7a85", "#b5e890", "#ffd68a", "#7cc7ff", "#dd9cf2", "#7fe0ea", "#ffffff"]
GROUND, INK = "#1b1f27", "#d8dee9"
WIDTH, HEIGHT, PAD, BAR = 8.43, 19, 18, 34


def palette(index):
    if index < 8:
        return COLOURS[index]
    if index < 16:
        return BRIGHT[index - 8]
    if index < 232:
        index -= 16
        return "#%02x%02x%02x" % tuple(0 if v == 0 else 55 + 40 * v for v in (index // 36, index // 6 % 6, index % 6))
    return "#%02x%02x%02x" % ((8 + 10 * (index - 232),) * 3)


def runs(line):
    """Yields (column, text, style) for every stretch of one style."""
    style, column = {}, 0
    for part in re.split(r"(\x1b\[[0-9;:]*m)", line):
        if not part.startswith("\x1b["):
            if part:
                yield column, part, dict(style)
                column += len(part)
            continue
        codes = [int(code or 0) for code in re.split("[;:]", part[2:-1])] or [0]
        while codes:
            code = codes.pop(0)
            if code == 0:
                style = {}
            elif code == 1:
                style["bold"] = True
            elif code == 2:
                style["dim"] = True
            elif code == 22:
                style.pop("bold", None), style.pop("dim", None)
            elif 30 <= code <= 37:
                style["ink"] = COLOURS[code - 30]
            elif 90 <= code <= 97:
                style["ink"] = BRIGHT[code - 90]
            elif code == 39:
                style.pop("ink", None)
            elif code in (38, 48):
                kind = codes.pop(0) if codes else 5
                colour = palette(codes.pop(0)) if kind == 5 and codes else None
                if kind == 2 and len(codes) >= 3:
                    colour = "#%02x%02x%02x" % tuple(codes[:3])
                    del codes[:3]
                if code == 38 and colour:
                    style["ink"] = colour


def main():
    title = sys.argv[1] if len(sys.argv) > 1 else ""
    lines = sys.stdin.read().rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[[0-9;:]*m", "", line) for line in lines]
    width = max(map(len, plain)) * WIDTH + 2 * PAD
    height = len(lines) * HEIGHT + BAR + PAD
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">',
        f'<rect width="100%" height="100%" rx="10" fill="{GROUND}"/>',
        *(f'<circle cx="{20 + 20 * i}" cy="17" r="6" fill="{c}"/>' for i, c in enumerate(["#ff5f57", "#febc2e", "#28c840"])),
        f'<text x="{width / 2:.0f}" y="22" fill="#7f848e" font-family="ui-monospace,DejaVu Sans Mono,monospace" font-size="13" text-anchor="middle">{escape(title)}</text>',
        '<g font-family="ui-monospace,DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="14" xml:space="preserve">',
    ]
    for row, line in enumerate(lines):
        y = BAR + 14 + row * HEIGHT
        for column, text, style in runs(line):
            attributes = f'fill="{style.get("ink", INK)}"'
            attributes += ' font-weight="bold"' if style.get("bold") else ""
            attributes += ' opacity="0.6"' if style.get("dim") else ""
            # Blanks fold in XML: every stretch between two of them has a place of its own.
            for word in re.finditer(r"\S+(?: \S+)*", text):
                x, length = PAD + (column + word.start()) * WIDTH, len(word.group()) * WIDTH
                out.append(f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs" {attributes}>{escape(word.group())}</text>')
    out += ["</g>", "</svg>"]
    print("\n".join(out))


main()
