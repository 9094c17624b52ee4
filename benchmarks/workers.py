"""Adding files with one process and with several: seconds, memory, and whether the indexes are the same.

Run: python benchmarks/workers.py FOLDER [--files 2000] [--workers 2] [--rounds 3] [--ray]

FOLDER holds real files of many formats. For the parse-bound part they are copied under other names until there are
enough: every copy is parsed, and no text is embedded twice. For the embed-bound part, passages of their Markdown files
are mixed to short text files, all different. The configurations alternate in one run. With ``--ray``, a Ray cluster of
as many cores is started on this machine before the first round; its processes are not in the peak of memory.
"""

from __future__ import annotations

import argparse
import itertools
import random
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions
from ragkit import Index
from ragkit.documents import LoadOptions
from ragkit.documents.registry import choose
from ragkit.embedding import open_embedder
from ragkit.errors import DocumentError

_MAY_NEED_OCR = {"pdf", "images", "archive", "mail", "outlook"}
"""Formats that are left out: OCR takes seconds a page, which would hide everything else."""


def can_be_measured(path: Path) -> bool:
    """Return whether a file is read without OCR, judged by its content: a picture may have any suffix."""
    if not path.is_file() or path.stat().st_size > 2_000_000:
        return False
    try:
        return choose(path)[0].name not in _MAY_NEED_OCR
    except (DocumentError, OSError):
        return False


def copies(folder: Path, count: int, target: Path) -> None:
    """Copy the files of a folder, each as often as needed, in an order that mixes formats."""
    files = [path for path in sorted(folder.rglob("*")) if can_be_measured(path)]
    random.Random(1).shuffle(files)
    for number, path in enumerate(itertools.islice(itertools.cycle(files), count)):
        shutil.copyfile(path, target / f"{number:05}-{path.name}")


def texts(folder: Path, count: int, target: Path) -> None:
    """Write text files of 150 words of a folder's text files, all different."""
    found = " ".join(path.read_text(errors="ignore") for path in sorted(folder.rglob("*.md"))).split()
    choose = random.Random(2)
    for number in range(count):
        places = [choose.randrange(len(found) - 15) for _ in range(10)]
        (target / f"{number:05}.txt").write_text(" ".join(word for at in places for word in found[at : at + 15]))


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Measure the peak memory of this process and its children, in MB, every 50 ms."""
    found, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            pids = {"self"} | {
                pid for tasks in Path("/proc/self/task").glob("*/children") for pid in tasks.read_text().split()
            }
            total = 0
            for pid in pids:
                try:
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                except (OSError, IndexError):
                    continue
                total += pages * resource.getpagesize()
            found[0] = max(found[0], total / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def content(index: Index) -> list[tuple[str, str, int]]:
    """Return what an index holds, to be compared."""
    return [(chunk.document_id, chunk.text, chunk.start) for chunk in index.each_chunk()]


def main() -> None:
    """Measure both parts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="also on a Ray cluster on this machine")
    arguments = parser.parse_args()
    print(versions("onnxruntime", "pypdfium2"))
    open_embedder().embed(["warm"], "query")
    ways: dict[str, tuple[int, str | None]] = {"1": (1, None), str(arguments.workers): (arguments.workers, None)}
    if arguments.ray:
        import ray

        ray.init(num_cpus=arguments.workers, include_dashboard=False, log_to_driver=False)
        ways[f"{arguments.workers}, Ray"] = (arguments.workers, "auto")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        print(f"\n| part | files | processes | seconds, median of {arguments.rounds} | ratio | peak MB |")
        print("|---|---|---|---|---|---|")
        for part, make in (("parse-bound", copies), ("embed-bound", texts)):
            source = work / part
            source.mkdir()
            make(arguments.folder, arguments.files, source)
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            memory = dict.fromkeys(seconds, 0.0)
            held: dict[str, list[tuple[str, str, int]]] = {}
            for _ in range(arguments.rounds):
                for way, (workers, address) in ways.items():
                    shutil.rmtree(work / "index", ignore_errors=True)
                    started = time.perf_counter()
                    with peak_memory() as peak, Index.create(work / "index") as index:
                        index.add(source, load=LoadOptions(), workers=workers, ray=address)
                        seconds[way].append(time.perf_counter() - started)
                        held[way] = content(index)
                    memory[way] = max(memory[way], peak[0])
            if any(other != held["1"] for other in held.values()):
                raise SystemExit(f"The indexes of the {part} part differ.")
            for way, taken in seconds.items():
                middle = median(taken)
                ratio = median(seconds["1"]) / middle
                files = arguments.files
                print(f"| {part} | {files} | {way} | {middle:.1f} | {ratio:.2f} | {memory[way]:.0f} |")


if __name__ == "__main__":
    main()
