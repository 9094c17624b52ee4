"""JSON: an array of records is a table whose rows are documents; anything else is text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ragkit.documents.base import Issue, Source, TextBuilder
from ragkit.documents.completeness import TextBalance
from ragkit.documents.rows import check_columns, row_document
from ragkit.documents.text import read_text
from ragkit.records import Document

_MEDIA_TYPE = "application/json"
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|-?\d[\d.eE+-]*|true|false', re.DOTALL)
"""A string, which names a value if a colon follows, a number or a truth value."""
_TOKENS_AT_ONCE = 10_000
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


class _AsWritten(float):
    """A number that is shown as written in the file: ``1.10`` and not ``1.1``."""

    written: str

    def __new__(cls, written: str) -> _AsWritten:
        number = super().__new__(cls, written)
        number.written = written
        return number

    def __str__(self) -> str:
        return self.written


def _integer(written: str) -> int | str:
    # Python converts no integer of more than 4,300 digits.
    return int(written) if len(written) < 4000 else written


DECODER = json.JSONDecoder(parse_float=_AsWritten, parse_int=_integer, parse_constant=_AsWritten)


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield a document for each record of an array, or the file as one document."""
    text, issues = read_text(source)
    yield from issues
    try:
        value = DECODER.decode(text.lstrip("\ufeff"))
    except json.JSONDecodeError as error:
        yield from _damaged(source, text, error)
        return
    balance = TextBalance()
    expect_values(balance, text)
    if is_records(value):
        yield from documents(source, enumerate(value, 1), _MEDIA_TYPE, balance)
        return
    builder = TextBuilder()
    _write(value, builder)
    balance.find(builder.text())
    yield from balance.issues(source)
    if builder.text():
        yield source.document(builder.text(), _MEDIA_TYPE, headings=builder.headings())


def is_records(value: object) -> bool:
    """Return whether a value is an array of objects."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def expect_values(balance: TextBalance, text: str) -> None:
    """Count the values of JSON text by its tokens, without parsing it; nulls are not shown in every place."""
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        string, colon = match.groups()
        if string is None:
            tokens.append(match.group())
        elif not colon:
            tokens.append(_ESCAPED.sub(_unescaped, string))
        if len(tokens) >= _TOKENS_AT_ONCE:
            balance.expect(" ".join(tokens))
            tokens.clear()
    balance.expect(" ".join(tokens))


def _unescaped(match: re.Match[str]) -> str:
    code, char = match.groups()
    return chr(int(code, 16)) if code else char if char in '"\\/' else " "


def documents(
    source: Source, records: Iterator[tuple[int, Any]], media_type: str, balance: TextBalance
) -> Iterator[Document | Issue]:
    """Yield a document for each numbered record, and an issue if values of the file are in none.

    Nested objects are columns such as ``size.unit``.

    Args:
        source: the file.
        records: records with their numbers.
        media_type: media type of the file.
        balance: balance that counts the values of the file.
    """
    checked = False
    for number, record in records:
        row = dict(_flat(record))
        if not checked:
            check_columns(source, list(row))
            checked = True
        document = row_document(source, number, row, media_type)
        if document is not None:
            balance.find(document.text)
            yield document
    # Columns that were not asked for are left out on purpose.
    if not source.options.text_columns:
        yield from balance.issues(source)


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _write(value: Any, builder: TextBuilder, name: str = "", depth: int = 0) -> None:
    """Add a value: an object's plain values as lines ``name: value``, the nested ones below their names."""
    if isinstance(value, dict):
        lines = [f"{key}: {_text_of(item)}" for key, item in value.items() if not _is_nested(item)]
        builder.add("\n".join(lines))
        for key, item in value.items():
            if _is_nested(item):
                path = f"{name}.{key}" if name else str(key)
                builder.add(path, min(6, depth + 1))
                _write(item, builder, path, depth + 1)
    elif isinstance(value, list):
        for item in value:
            if _is_nested(item):
                _write(item, builder, name, depth)
            else:
                builder.add(_text_of(item))
    else:
        builder.add(_text_of(value))


def _is_nested(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, (dict, list)) for item in value)
    return isinstance(value, dict)


def _text_of(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text_of, value))
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def _damaged(source: Source, text: str, error: json.JSONDecodeError) -> Iterator[Document | Issue]:
    """Yield the records of a file with concatenated values, or its text unchanged."""
    from ragkit.documents.json_lines import parse_lines

    # Several values, one after another.
    if error.msg == "Extra data":
        yield from parse_lines(source, text)
        return
    yield source.issue(
        "mislabelled",
        f"The file is not valid JSON ({error}); read as plain text.",
        hint="Correct it, and add it again.",
    )
    yield source.document(text, "text/plain")
