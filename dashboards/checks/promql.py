"""Finds in a PromQL expression what the catalogue can judge: selectors, the function around each, grouping labels.

Not a parser: promtool and Prometheus judge the syntax.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(?P<name>[A-Za-z_:][\w:]*)"""
    r"""|(?P<number>\d[\w.]*)|(?P<op>=~|!~|!=|==|<=|>=|.)""",
    re.S,
)
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan", "start", "end"}


@dataclass
class Selector:
    name: str
    function: str
    matchers: list = field(default_factory=list)
    range: str = ""


@dataclass
class Expression:
    selectors: list = field(default_factory=list)
    """Labels named in by, without, on, ignoring, group_left, group_right."""
    grouping: list = field(default_factory=list)
    """Labels that label_replace and label_join make."""
    made: list = field(default_factory=list)


def read(text):
    tokens = [(m.lastgroup, m[0]) for m in TOKEN.finditer(text) if m.lastgroup]
    found, functions, pending, at = Expression(), [], "", 0
    while at < len(tokens):
        kind, word = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "name" and word.lower() in GROUPING:
            if following == "(":
                end = _close(tokens, at + 1, ")")
                found.grouping += [name for kind, name in tokens[at + 2 : end] if kind == "name"]
                at = end
        elif kind == "name" and word.lower() in WORDS and following != "{":
            pass
        elif kind == "name" and (following == "(" or following.lower() in GROUPING):
            pending = word.lower()
            if pending in ("label_replace", "label_join"):
                found.made += _made(tokens, at + 1)
        elif kind == "name" or word == "{":
            selector = Selector(word if kind == "name" else "", functions[-1] if functions else "")
            at += kind == "name"
            if at < len(tokens) and tokens[at][1] == "{":
                end = _close(tokens, at, "}")
                selector.matchers = _matchers(tokens[at + 1 : end])
                at = end + 1
            if at < len(tokens) and tokens[at][1] == "[":
                end = _close(tokens, at, "]")
                selector.range = "".join(word for _, word in tokens[at + 1 : end])
                at = end + 1
            found.selectors.append(selector)
            continue
        elif word == "[":
            at = _close(tokens, at, "]")
        elif word == "(":
            functions.append(pending)
            pending = ""
        elif word == ")" and functions:
            functions.pop()
        at += 1
    return found


def _close(tokens, at, close):
    while at < len(tokens) and tokens[at][1] != close:
        at += 1
    return at


def _matchers(tokens):
    return [
        (tokens[at][1], tokens[at + 1][1], tokens[at + 2][1][1:-1])
        for at in range(len(tokens) - 2)
        if tokens[at][0] == "name" and tokens[at + 2][0] == "string"
    ]


def _made(tokens, at):
    """label_replace(v, "made", …) and label_join(v, "made", …): the first string at the call's own depth."""
    depth = 0
    for kind, word in tokens[at:]:
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(word, 0)
        if kind == "string" and depth == 1:
            return [word[1:-1]]
        if depth == 0:
            break
    return []
