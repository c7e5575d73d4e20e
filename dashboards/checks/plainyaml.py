"""Reads the plain YAML that rules and their tests are written in, as Python's own library has no YAML.

Maps, lists, quoted and bare scalars, block scalars, one-line flow collections. Scalars stay strings. Whatever else YAML
knows (anchors, tags, tabs, scalars over several lines) is refused, never guessed.
"""

import re

KEY = re.compile(r"""("[^"]*"|'[^']*'|[^\s"'{\[#&*!|>%@`-][^:#]*?|-[^\s:#][^:#]*?)\s*:(?:\s+(.*))?$""")
BLOCK = re.compile(r"([|>])([+-]?)$")


class YamlError(ValueError):
    pass


def load(text):
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line[: len(line) - len(line.lstrip())]:
            raise YamlError(f"line {number}: a tab in the indentation")
        lines.append((number, len(line) - len(line.lstrip(" ")), line.strip()))
    reader = _Reader(lines)
    value = reader.node(0)
    number, _, rest = reader.peek()
    if rest is not None:
        raise YamlError(f"line {number}: unexpected {rest!r}")
    return value


class _Reader:
    def __init__(self, lines):
        self.lines, self.at = lines, 0

    def peek(self):
        """The next line with content: number, indentation, text; text is None at the end."""
        while self.at < len(self.lines):
            number, indent, text = self.lines[self.at]
            if text and not text.startswith("#"):
                return number, indent, text
            self.at += 1
        return len(self.lines), -1, None

    def node(self, least):
        number, indent, text = self.peek()
        if text is None or indent < least:
            return None
        if text == "-" or text.startswith("- "):
            return self.sequence(indent)
        if KEY.match(text):
            return self.mapping(indent)
        self.at += 1
        return _inline(text, number)

    def sequence(self, indent):
        items = []
        while True:
            number, here, text = self.peek()
            if text is None or here != indent or not (text == "-" or text.startswith("- ")):
                if text is not None and here > indent:
                    raise YamlError(f"line {number}: unexpected indentation")
                return items
            rest = text[1:].lstrip()
            if not rest:
                self.at += 1
                items.append(self.node(indent + 1))
            elif KEY.match(rest) and rest[0] not in "{[":
                self.lines[self.at] = (number, indent + len(text) - len(rest), rest)
                items.append(self.mapping(indent + len(text) - len(rest)))
            else:
                self.at += 1
                items.append(_inline(rest, number))

    def mapping(self, indent):
        items = {}
        while True:
            number, here, text = self.peek()
            if text is None or here < indent or text.startswith("- "):
                return items
            found = KEY.match(text)
            if here > indent or not found:
                raise YamlError(f"line {number}: cannot read {text!r}")
            key, rest = _unquote(found[1], number), _uncomment(found[2] or "")
            if key in items:
                raise YamlError(f"line {number}: `{key}` is there twice")
            self.at += 1
            block = BLOCK.match(rest)
            if block:
                items[key] = self.block(indent, *block.groups())
            elif rest:
                items[key] = _inline(rest, number)
            else:
                # A list may stand at its key's own indentation.
                _, below, next_text = self.peek()
                is_list = next_text is not None and next_text.startswith("- ")
                items[key] = self.node(indent if is_list and below == indent else indent + 1)

    def block(self, indent, style, chomp):
        inner, width = [], None
        while self.at < len(self.lines):
            _, here, text = self.lines[self.at]
            if text and here <= indent:
                break
            if text and width is None:
                width = here
            inner.append(" " * (here - width) + text if text else "")
            self.at += 1
        while inner and not inner[-1]:
            inner.pop()
        body = "\n".join(inner) if style == "|" else " ".join(line or "\n" for line in inner)
        return body if chomp == "-" else body + "\n"


def _inline(text, number):
    value, rest = _flow(_uncomment(text), number, top=True)
    if rest.strip():
        raise YamlError(f"line {number}: unexpected {rest!r}")
    return value


def _uncomment(text):
    quote = None
    for at, char in enumerate(text):
        if quote:
            quote = None if char == quote else quote
        elif char in "\"'" and (at == 0 or text[at - 1] in " [{,"):
            quote = char
        elif char == "#" and at and text[at - 1] == " ":
            return text[:at].rstrip()
    return text.rstrip()


def _flow(text, number, top=False):
    text = text.lstrip()
    if text[:1] == "[":
        items, text = [], text[1:].lstrip()
        while text[:1] != "]":
            item, text = _flow(text, number)
            items.append(item)
            text = _separator(text, "]", number)
        return items, text[1:]
    if text[:1] == "{":
        items, text = {}, text[1:].lstrip()
        while text[:1] != "}":
            found = re.match(r"""\s*("[^"]*"|'[^']*'|[\w.-]+)\s*:(?:\s+|(?=[,}]))""", text)
            if not found:
                raise YamlError(f"line {number}: cannot read {text!r}")
            items[_unquote(found[1], number)], text = _flow(text[found.end():], number)
            text = _separator(text, "}", number)
        return items, text[1:]
    if text[:1] in ('"', "'"):
        found = re.match(r'"(?:[^"\\]|\\.)*"' if text[0] == '"' else r"'(?:[^']|'')*'", text)
        if not found:
            raise YamlError(f"line {number}: a quote is not closed")
        return _unquote(found[0], number), text[found.end():]
    if text[:1] in tuple("&*!|>%@`"):
        raise YamlError(f"line {number}: cannot read {text!r}")
    if top:
        if ": " in text:
            raise YamlError(f"line {number}: quote {text!r}, it holds a colon")
        return text, ""
    found = re.match(r"[^,\]}]*", text)
    return found[0].strip(), text[found.end():]


def _separator(text, close, number):
    text = text.lstrip()
    if text[:1] == ",":
        return text[1:].lstrip()
    if text[:1] != close:
        raise YamlError(f"line {number}: expected `,` or `{close}` before {text!r}")
    return text


def _unquote(text, number):
    if text[:1] == "'":
        return text[1:-1].replace("''", "'")
    if text[:1] == '"':
        if re.search(r'\\[^"\\n]', text):
            raise YamlError(f"line {number}: unknown escape in {text}")
        return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text[1:-1])
    return text
