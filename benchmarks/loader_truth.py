"""The words that a person sees in a file, found without ragkit's loaders: the truth for the benchmark of loaders."""

from __future__ import annotations

import codecs
import csv
import html.parser
import io
import json
import re
import unicodedata
import xml.parsers.expat
from collections.abc import Iterator
from pathlib import Path

_WORD = re.compile(r"[^\W_]+")
"""Without the underscore, which is markup in the Markdown that other loaders return."""


def words(text: str) -> list[str]:
    """Return the words of a text in order, without case and compatibility forms."""
    return _WORD.findall(unicodedata.normalize("NFKC", text.replace("\u00ad", "").replace("\u200b", "")).casefold())


def html_words(path: Path) -> list[str]:
    """Words of a page outside of scripts, styles, templates and navigation, by Python's own parser."""
    parser = _Html()
    parser.feed(_decoded(path, rb"""(?:charset|encoding)\s*=\s*["']?([\w:.-]+)"""))
    parser.close()
    return words("".join(parser.parts))


def csv_words(path: Path, encoding: str = "") -> list[str]:
    """Words of all cells, by Python's reader without quoting rules, which would drop what follows a lost quote."""
    text = re.sub(r"\Asep=.\n", "", _decoded(path, encoding=encoding).replace("\r\n", "\n"))
    return words(" ".join(cell for row in csv.reader(io.StringIO(text), quoting=csv.QUOTE_NONE) for cell in row))


def csv_strings(path: Path, encoding: str = "") -> list[str]:
    """The cells of a CSV file."""
    text = re.sub(r"\Asep=.\n", "", _decoded(path, encoding=encoding).replace("\r\n", "\n"))
    dialect = csv.Sniffer().sniff(text[:20_000], ",;\t|")
    return [cell for row in csv.reader(io.StringIO(text), dialect) for cell in row]


def json_strings(path: Path) -> list[str]:
    """The strings and numbers among the values of a JSON file."""

    def values(value: object) -> Iterator[str]:
        if isinstance(value, (dict, list)):
            for item in value.values() if isinstance(value, dict) else value:
                yield from values(item)
        elif isinstance(value, str):
            yield value

    return list(values(json.loads(_decoded(path), parse_float=str, parse_int=str)))


def json_words(path: Path) -> list[str]:
    """Words of all names and values of JSON or JSON Lines."""
    text = _decoded(path)
    try:
        values = [json.loads(text, parse_float=str, parse_int=str)]
    except json.JSONDecodeError:
        values = [json.loads(line, parse_float=str, parse_int=str) for line in text.splitlines() if line.strip()]
    return words(" ".join(piece for value in values for piece in _json_text(value)))


def xml_words(path: Path) -> list[str]:
    """Words of the character data, by expat; elements are apart from each other except those within words."""
    parts: list[str] = []
    within = frozenset(("sub", "sup", "sb", "sp", "b", "i", "bold", "italic", "emphasis", "hi", "figref", "xref", "o"))

    def apart(name: str, _: object = None) -> None:
        if name.rpartition(":")[2].lower() not in within:
            parts.append(" ")

    parser = xml.parsers.expat.ParserCreate()
    parser.CharacterDataHandler = parts.append
    parser.StartElementHandler = apart
    parser.EndElementHandler = apart
    parser.Parse(path.read_bytes(), True)
    return words("".join(parts))


def text_words(path: Path, encoding: str = "") -> list[str]:
    """Words of a plain text or Markdown file as it is written."""
    return words(_decoded(path, encoding=encoding))


class _Html(html.parser.HTMLParser):
    """Collects the text of a page; blocks and cells are apart, inline elements are not."""

    _hidden = frozenset(("script", "style", "template", "noscript", "head", "nav", "iframe", "video", "audio"))
    _inline = frozenset(
        (
            *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "mark"),
            *("q", "s", "samp", "small", "span", "strong", "sub", "sup", "tt", "u", "var", "wbr", "big", "strike"),
        )
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":
            self._inside.clear()
        if tag in self._hidden:
            self._inside.append(tag)
        if tag not in self._inline:
            self.parts.append(" ")
        if tag == "img" and not self._inside:
            self.parts.append(f" {dict(attrs).get('alt') or ''} ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            del self._inside[self._inside.index(tag) :]
        if tag not in self._inline:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.parts.append(data)


def _json_text(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _json_text(item)
    elif isinstance(value, list):
        for item in value:
            yield from _json_text(item)
    elif value is not None:
        yield str(value)


def _decoded(path: Path, declared: bytes = b"", encoding: str = "") -> str:
    """Decode as asked, or by the byte order mark, as UTF-8, as the file declares, or as Windows-1252, in this order."""
    data = path.read_bytes()
    if encoding:
        return data.decode(encoding, "replace")
    for mark, marked in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(marked)
    if b"\0" in data[:100]:
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", "replace")
    found = re.search(declared, data[:4096]) if declared else None
    for name in ("utf-8", *([found.group(1).decode()] if found else []), "cp1252"):
        try:
            return data.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("cp1252", "replace")
