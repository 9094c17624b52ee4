"""Jupyter notebooks: a unit per cell, outputs as text; pictures are counted and left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.completeness import check_complete
from ragkit.documents.markup import html_document
from ragkit.documents.text import read_text
from ragkit.errors import UnreadableFileError
from ragkit.records import Document, PageSpan

_HEADING = re.compile(r"(#{1,6})\s+(.*\S)\s*#*")
_SHOWN = ("source", "input", "text", "traceback", "text/plain", "text/markdown", "text/latex")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the notebook as one document."""
    text, issues = read_text(source)
    yield from issues
    try:
        book = json.loads(text)
        cells = book["cells"] if "cells" in book else [cell for sheet in book["worksheets"] for cell in sheet["cells"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableFileError(
            f"It is not a Jupyter notebook: {error}.", "Open it in Jupyter and save it again."
        ) from error
    builder = TextBuilder()
    pages: list[PageSpan] = []
    pictures = 0
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict):
            continue
        start = builder.next_start()
        written = _joined(cell.get("source", cell.get("input", "")))
        if cell.get("cell_type") in ("markdown", "heading"):
            _add_markdown(builder, written)
        else:
            builder.add(written, preformatted=True)
        for output in cell.get("outputs") or ():
            shown, images = _output(source, output)
            builder.add(shown, preformatted=True)
            pictures += images
        if builder.length > start:
            pages.append(PageSpan(number, start, builder.length, f"cell {number}"))
    if builder.length:
        shown = "\n".join(_strings({**book, "metadata": None}))
        yield from check_complete(source, _COLOURS.sub("", shown), builder.text())
        kernel = _mapping(_mapping(book.get("metadata")).get("language_info"))
        yield source.document(
            builder.text(),
            "application/x-ipynb+json",
            metadata=plain_metadata(
                {"programming_language": kernel.get("name"), "pictures": pictures or None, "cells": len(cells)}
            ),
            pages=tuple(pages),
            headings=builder.headings(),
        )


def _add_markdown(builder: TextBuilder, text: str) -> None:
    """Add a Markdown cell with its headings; lines that start with ``#`` in a code block are not headings."""
    block: list[str] = []
    fenced = False
    for line in text.split("\n"):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        heading = None if fenced else _HEADING.fullmatch(line.strip())
        if heading is None:
            block.append(line)
            continue
        builder.add("\n".join(block))
        block = []
        builder.add(heading.group(2), len(heading.group(1)))
    builder.add("\n".join(block))


def _strings(value: Any, name: str = "") -> Iterator[str]:
    """Yield all strings of cells that a person sees, wherever they are, for the self-check."""
    if isinstance(value, dict):
        for key, item in value.items():
            # A picture and a table have a plain text beside them, which says the same or nothing.
            if key == "text/plain" and any(each.startswith("image/") or each == "text/markdown" for each in value):
                continue
            yield from _strings(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, name)
    elif isinstance(value, str) and name in _SHOWN:
        yield value


def _output(source: Source, output: Any) -> tuple[str, int]:
    """Return an output as text, and the number of pictures in it."""
    if not isinstance(output, dict):
        return "", 0
    if output.get("output_type") in ("error", "pyerr"):
        return _COLOURS.sub("", "\n".join(map(str, output.get("traceback") or [output.get("evalue", "")]))), 0
    if "text" in output and "data" not in output:
        return _COLOURS.sub("", _joined(output["text"])), int("png" in output or "jpeg" in output)
    data = output.get("data")
    if not isinstance(data, dict):
        return "", 0
    pictures = int(any(name.startswith("image/") for name in data))
    for kind in ("text/markdown", "text/plain", "text/latex"):
        if kind in data:
            shown = _COLOURS.sub("", _joined(data[kind]))
            # The plain text of a picture is the name of its class.
            return ("" if pictures and shown.startswith("<") else shown), pictures
    if "text/html" in data:
        page = html_document(source, _joined(data["text/html"]).encode("utf-8", "replace"), "utf-8")
        return "" if page is None else page.text, pictures
    if "application/json" in data:
        return json.dumps(data["application/json"], ensure_ascii=False, indent=1), pictures
    return "", pictures


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")
