"""Loaders: which words of real files come out, in which order, how fast, beside other libraries.

Run: python benchmarks/loaders.py [--formats pdf docx] [--peers markitdown kreuzberg=PYTHON] [--limit N]
     python benchmarks/loaders.py --ocr
     python benchmarks/loaders.py --ocr-seconds 10
     python benchmarks/loaders.py --fuzz 1000 [--formats rtf]

A peer is read in a process of its own, by the interpreter that is given for it, such as that of its own virtual
environment: markitdown[all], kreuzberg, unstructured with the extras of its formats, docling-slim with those of its
formats (its PDF models are not in the package, so it reads no PDF offline).

The truth is found from the raw parts of each file by benchmarks/loader_truth*.py, without any of the loaders, and by
pdftotext for PDF. The share of a file is that of the words of the truth, with their counts, that the loader returns;
that of a format is the mean over its files, and a file that fails has 0. Order is the share of adjacent pairs of words
that stay adjacent, for PDF against pdftotext's raw and layout order, per file the better of the two. Strings are
altered if the text of a table file does not have a cell's string as it is, white space aside. Files: the test files of
docling, markitdown and unstructured. A child reads all files of a format, started cold, so that its seconds include the
imports; each file gets at most --timeout seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import loader_fuzz, loader_truth, loader_truth_legacy, loader_truth_office
from benchmarks.common import DATA
from benchmarks.loader_truth_pdf import pdf_words
from benchmarks.machine import versions

WORKER = Path(__file__).with_name("loader_peers.py")
ENCODINGS = {"test_mskanji.csv": "cp932"}
SKIPPED = ("expected_outputs", "60-text-encodings")
"""Folders of outputs of a peer, and of encodings that the truth does not know."""
START = 300.0
"""Seconds in which a loader must be imported."""
LEAST_WORDS = 5
"""Files with fewer words, such as scans, are measured elsewhere."""


def _html(path: Path) -> list[str]:
    return loader_truth.html_words(path)


def _csv(path: Path) -> list[str]:
    return loader_truth.csv_words(path, ENCODINGS.get(path.name, ""))


TRUTH: dict[str, Callable[[Path], list[str]]] = {
    "docx": loader_truth_office.docx_words,
    "xlsx": loader_truth_office.xlsx_words,
    "xls": loader_truth_legacy.xls_words,
    "ods": loader_truth_legacy.ods_words,
    "rtf": loader_truth_legacy.rtf_words,
    "msg": loader_truth_legacy.msg_words,
    "pptx": loader_truth_office.pptx_words,
    "odt": loader_truth_office.opendocument_words,
    "odp": loader_truth_office.opendocument_words,
    "epub": loader_truth_office.epub_words,
    "eml": loader_truth_office.mail_words,
    "ipynb": loader_truth_office.ipynb_words,
    "html": _html,
    "xml": loader_truth.xml_words,
    "json": loader_truth.json_words,
    "csv": _csv,
    "md": loader_truth.text_words,
    "txt": loader_truth.text_words,
    "pdf": pdf_words,
}
STRINGS: dict[str, Callable[[Path], list[str]]] = {
    "xlsx": loader_truth_office.xlsx_strings,
    "xls": loader_truth_legacy.xls_strings,
    "ods": loader_truth_legacy.ods_strings,
    "csv": lambda path: loader_truth.csv_strings(path, ENCODINGS.get(path.name, "")),
    "json": loader_truth.json_strings,
}

FUZZED = [
    *("xlsx", "xls", "ods", "pptx", "odt", "odp", "epub", "rtf", "eml", "msg", "ipynb", "xml", "json", "jsonl", "srt"),
    *("svg", "zip", "html", "csv", "md"),
]


@dataclass
class Result:
    """What a loader made of the files of a format."""

    shares: list[float] = field(default_factory=list)
    order: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    layout: list[float] = field(default_factory=list)
    failed: int = 0
    altered: int = 0
    strings: int = 0
    spans: list[int] = field(default_factory=lambda: [0, 0])
    unreported: int = 0
    """Files that lost more than 1 % of their words without a report."""
    seconds: float = 0.0
    peak: float = 0.0
    worst: list[tuple[float, str, list[str]]] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", nargs="+", default=list(TRUTH), choices=[*TRUTH, *FUZZED], metavar="FORMAT")
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME[=PYTHON]")
    parser.add_argument("--limit", type=int, default=0, help="files per format")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds per file")
    parser.add_argument("--files", nargs="+", type=Path, default=[DATA / "files", DATA.parent / "cases" / "documents"])
    parser.add_argument("--show", type=int, default=0, help="worst files to print per format")
    parser.add_argument("--fuzz", type=int, default=0, metavar="N", help="read N mutated files per format, and bombs")
    parser.add_argument("--ocr", action="store_true", help="error rates of OCR, and which pages it reads")
    parser.add_argument("--ocr-seconds", type=int, default=0, metavar="N", help="processor time of OCR on N pages")
    args = parser.parse_args()
    if args.ocr or args.ocr_seconds:
        from benchmarks import loader_ocr

        print(versions("rapidocr", "onnxruntime"), time.strftime("%Y-%m-%d"))
        if args.ocr_seconds:
            loader_ocr.run_seconds(args.files[0], args.ocr_seconds)
        else:
            loader_ocr.run(args.files[0])
        return
    if args.fuzz:
        loader_fuzz.run(args.fuzz, args.formats if args.formats != list(TRUTH) else FUZZED, args.files)
        return
    loaders = {
        "ragkit": sys.executable,
        **{name: python or sys.executable for name, _, python in (each.partition("=") for each in args.peers)},
    }
    results: dict[str, dict[str, Result]] = {}
    for name in args.formats:
        files = {} if name not in TRUTH else with_truth(name, args.files, args.limit)
        if not files:
            continue
        results[name] = {}
        for loader, python in loaders.items():
            print(f"{name}: {loader} reads {len(files)} files", file=sys.stderr, flush=True)
            found = results[name][loader] = measure(name, loader, python, files, args.timeout)
            share = sum(found.shares) / len(found.shares)
            took = f"{found.seconds:.1f} s, {found.peak:.0f} MB"
            print(f"  {share:.4f} of the words, {found.failed} without a word, {took}", file=sys.stderr, flush=True)
    print(versions("pypdfium2", "lxml", "python-calamine", "python-pptx"), time.strftime("%Y-%m-%d"))
    print_tables(results, list(loaders), args.show)


def with_truth(name: str, folders: list[Path], limit: int) -> dict[Path, list[str]]:
    """Return the files of a format with the words that a person sees in them."""
    found: dict[Path, list[str]] = {}
    paths = sorted(path for folder in folders for path in folder.rglob(f"*.{name}"))
    for path in paths:
        if path.is_file() and not any(part in SKIPPED for part in path.parts):
            try:
                wanted = TRUTH[name](path)
            except Exception as error:
                print(f"  {path.name}: no truth: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
                continue
            if len(wanted) >= LEAST_WORDS:
                found[path] = wanted
                if limit and len(found) == limit:
                    break
    return found


def measure(name: str, loader: str, python: str, files: dict[Path, list[str]], timeout: float) -> Result:
    """Read the files of a format with a loader."""
    result = Result()
    waiting = list(files)
    while waiting:
        child = Child(loader, python)
        while waiting:
            path = waiting.pop(0)
            found = child.read(path, timeout)
            if found is None:
                print(f"  {loader}: {path.name}: no answer", file=sys.stderr, flush=True)
                add(result, name, path, files[path], {"text": "", "error": "timeout", "seconds": timeout})
                break
            add(result, name, path, files[path], found)
        result.peak = max(result.peak, child.close())
    return result


class Child:
    """A process that reads files with one loader."""

    def __init__(self, loader: str, python: str) -> None:
        self._process = subprocess.Popen(
            [python, str(WORKER), loader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        if not self._line(START):
            print(f"  {loader}: does not start with {python}", file=sys.stderr, flush=True)

    def read(self, path: Path, timeout: float) -> dict[str, object] | None:
        """Return what the loader gives of a file, or None if it gives nothing in time."""
        try:
            self._process.stdin.write(f"{path.absolute()}\n".encode())
            self._process.stdin.flush()
        except OSError:
            return None
        line = self._line(timeout)
        return json.loads(line) if line else None

    def close(self) -> float:
        """End the process, and return its peak memory in MB."""
        try:
            self._process.stdin.close()
            line = self._line(10.0)
        except OSError:
            line = b""
        self._process.kill()
        self._process.wait()
        return json.loads(line).get("peak_mb", 0.0) if line else 0.0

    def _line(self, timeout: float) -> bytes:
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        return self._process.stdout.readline() if ready else b""


def add(result: Result, name: str, path: Path, wanted: list[str], found: dict) -> None:
    """Count what came out of a file."""
    text = re.sub(r"\\([^\w\s])", r"\1", found["text"])
    got = loader_truth.words(text)
    missing = Counter(wanted) - Counter(got)
    share = 1 - missing.total() / len(wanted)
    result.shares.append(share)
    result.failed += not got
    result.seconds += found["seconds"]
    result.worst.append((share, path.name, list(missing)[:8]))
    result.unreported += bool(share < 0.99 and not found.get("lost") and "error" not in found)
    if name == "pdf":
        raw, layout = kept_pairs(wanted, got), kept_pairs(_layout(path), got)
        result.raw.append(raw)
        result.layout.append(layout)
        result.order.append(max(raw, layout))
    if name in STRINGS:
        try:
            strings = {" ".join(each.split()) for each in STRINGS[name](path)} - {""}
        except Exception:
            strings = set()
        shown = " ".join(text.split())
        result.strings += len(strings)
        result.altered += sum(each not in shown for each in strings) if got else len(strings)
    for place, count in enumerate(found.get("spans", (0, 0))):
        result.spans[place] += count


@cache
def _layout(path: Path) -> list[str]:
    return pdf_words(path, "layout")


def kept_pairs(wanted: list[str], got: list[str]) -> float:
    """Return the share of adjacent pairs of words that are adjacent in the other text too."""
    pairs = Counter(pairwise(wanted))
    return (pairs & Counter(pairwise(got))).total() / max(1, pairs.total())


def print_tables(results: dict[str, dict[str, Result]], loaders: list[str], show: int) -> None:
    """Print the shares, the order, the altered strings, the offsets, the speed and the memory."""

    def mean(values: list[float]) -> float:
        return sum(values) / max(1, len(values))

    def row(*cells: object) -> None:
        print(f"| {' | '.join(map(str, cells))} |")

    print("\nshare of the words (files without a word)")
    row("format", "files", *loaders)
    row(*["---"] * (2 + len(loaders)))
    for name, each in results.items():
        shares = [f"{mean(r.shares):.4f}{f' ({r.failed})' if r.failed else ''}" for r in each.values()]
        row(name, len(each["ragkit"].shares), *shares)
    print("\naltered strings, of all")
    for name in filter(STRINGS.__contains__, results):
        row(name, *(f"{loader} {r.altered} of {r.strings}" for loader, r in results[name].items()))
    if "pdf" in results:
        print("\norder: pairs kept of pdftotext raw, of -layout, the better of both per file")
        for loader, r in results["pdf"].items():
            row(loader, f"{mean(r.raw):.3f}", f"{mean(r.layout):.3f}", f"{mean(r.order):.3f}")
    spans = [sum(each["ragkit"].spans[place] for each in results.values()) for place in (0, 1)]
    print(f"\nexact pages and headings: {spans[0]:,} of {spans[1]:,}")
    print(f"ragkit: files that lost over 1 % without a report: {sum(r['ragkit'].unreported for r in results.values())}")
    print("\nfiles/s (times ragkit's), peak MB")
    row("format", *loaders)
    row(*["---"] * (1 + len(loaders)))
    for name, each in results.items():
        own = len(each["ragkit"].shares) / each["ragkit"].seconds
        cells = []
        for r in each.values():
            speed = len(r.shares) / max(r.seconds, 1e-9)
            cells.append(f"{speed:.2f} ({speed / own:.2f}), {r.peak:.0f}")
        row(name, *cells)
    for name, each in results.items():
        for share, file, lost in sorted(each["ragkit"].worst)[:show]:
            if share < 0.9995:
                print(f"{name:6} {share:.4f} {file} {lost}")


if __name__ == "__main__":
    main()
