"""Reads files with one loader, in a process of its own that may belong to another virtual environment.

    python benchmarks/loader_peers.py NAME < paths

prints a line of JSON per path with its text or error and the seconds it took, then a line with the peak memory. It
imports nothing of the project except for the name ``ragkit``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def ragkit() -> Callable[[str], dict[str, object]]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from ragkit.documents import Loader, discover
    from ragkit.records import Document

    loader = Loader()

    def read(path: str) -> dict[str, object]:
        items = [item for file in discover([Path(path)]) for item in loader.load(file)]
        documents = [item for item in items if isinstance(item, Document)]
        return {
            "text": "\n\n".join(document.text for document in documents),
            "lost": [item.detail for item in items if not isinstance(item, Document) and item.kind == "text_lost"],
            "spans": _checked_spans(documents),
        }

    return read


def _checked_spans(documents: list) -> list[int]:
    """Return how many pages and headings there are, and how many of them lie where the text says."""
    right = total = 0
    for document in documents:
        end = 0
        for page in document.pages:
            total += 1
            right += end <= page.start <= page.end <= len(document.text)
            end = page.end
        for heading in document.headings:
            total += 1
            shown = " ".join(document.text[heading.start : heading.start + 2 * len(heading.title) + 100].split())
            right += shown.startswith(heading.title) or heading.title.split()[0] in shown
    return [right, total]


def markitdown() -> Callable[[str], dict[str, object]]:
    from markitdown import MarkItDown

    reader = MarkItDown(enable_plugins=False)
    return lambda path: {"text": reader.convert(path).text_content}


def kreuzberg() -> Callable[[str], dict[str, object]]:
    from kreuzberg import extract_file_sync

    return lambda path: {"text": extract_file_sync(path).content}


def unstructured() -> Callable[[str], dict[str, object]]:
    from unstructured.partition.auto import partition

    return lambda path: {"text": "\n\n".join(str(part) for part in partition(filename=path, strategy="fast"))}


def docling() -> Callable[[str], dict[str, object]]:
    from docling.document_converter import DocumentConverter

    reader = DocumentConverter()
    return lambda path: {"text": reader.convert(path).document.export_to_markdown()}


PEERS = {each.__name__: each for each in (markitdown, kreuzberg, unstructured, docling)}


def read_paths() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    start = time.perf_counter()
    read = {**PEERS, "ragkit": ragkit}[sys.argv[1]]()
    out.write('{"ready": true}\n')
    out.flush()
    for line in sys.stdin:
        try:
            found = read(line.rstrip("\n"))
        except BaseException as error:
            found = {"text": "", "error": f"{type(error).__name__}: {str(error)[:200]}"}
        # The first file's time has the imports in it.
        found["seconds"] = time.perf_counter() - start
        out.write(json.dumps(found) + "\n")
        out.flush()
        start = time.perf_counter()
    # Not getrusage, whose peak counts the memory of the process that started this one.
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    peaks = [Path(f"/proc/{each}/status").read_text().split("VmHWM:")[1].split()[0] for each in ("self", *children)]
    out.write(json.dumps({"peak_mb": max(map(int, peaks)) / 1024}) + "\n")


if __name__ == "__main__":
    read_paths()
