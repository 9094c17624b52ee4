"""Memory and opening time of a process that serves 1,000,000 chunks of 384 dimensions.

Run: python benchmarks/memory.py [--quick] [--rows N] [--index FOLDER]

The index is made by one process and served by another, which reports its resident memory (VmRSS, and its peak VmHWM)
after opening and after a hundred hybrid searches. Chunks are recombined from real sentences (see recombined.py).
``--index`` keeps the index there, or serves the one that is there. Targets: 2 GB; opens in 2 s.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="60,000 chunks")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve)
        return
    rows = arguments.rows or (60_000 if arguments.quick else 1_000_000)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.index or Path(temporary) / "index"
        if not folder.exists():
            _call("--fill", folder, rows)
        figures = json.loads(_call("--serve", folder).splitlines()[-1])
    from benchmarks.recombined import versions

    print(f"\n{figures['chunks']:,} chunks on disk in {figures['disk']} MB; {versions()}\n")
    print("| what | measured |\n|---|---|")
    for name in (
        "opens and answers the first vector search, s",
        "first hybrid search with the model loaded, s",
        "resident after opening, MB",
        "resident after 100 searches, MB",
        "peak, MB",
    ):
        print(f"| {name} | {figures[name]} |")


def _call(what: str, folder: Path, rows: int = 0) -> str:
    if what == "--fill":
        code = (
            "import sys; from pathlib import Path; from benchmarks.recombined import fill, sentences; "
            "from ragkit.embedding import open_embedder; e = open_embedder(); "
            "print(fill(Path(sys.argv[1]), e, sentences(e), int(sys.argv[2])))"
        )
        command = [sys.executable, "-c", code, str(folder), str(rows)]
        subprocess.run(command, check=True, cwd=Path(__file__).resolve().parents[1])
        return ""
    command = [sys.executable, __file__, what, str(folder)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _serve(folder: Path) -> None:
    import numpy as np

    from ragkit.embedding import open_embedder
    from ragkit.indexing.index import Index
    from ragkit.retrieval.retriever import Retriever

    embedder = open_embedder()
    vector = embedder.embed(["When was the tower built?"], "query")[0]
    figures: dict[str, object] = {}
    started = time.perf_counter()
    with Index.open(folder, embedder=embedder) as index:
        index.search_vectors(vector, 10)
        figures["opens and answers the first vector search, s"] = round(time.perf_counter() - started, 2)
        figures["resident after opening, MB"] = _memory("VmRSS")
        retriever = Retriever(index)
        words = ["tower", "river", "king", "church", "war", "school", "energy", "plant", "law", "city"]
        random = np.random.default_rng(1)
        started = time.perf_counter()
        retriever.search("When was the tower built?")
        figures["first hybrid search with the model loaded, s"] = round(time.perf_counter() - started, 3)
        for _ in range(100):
            retriever.search(f"What is the {' of the '.join(random.choice(words, 3))}?")
        figures["resident after 100 searches, MB"] = _memory("VmRSS")
        figures["peak, MB"] = _memory("VmHWM")
        figures["chunks"] = index.chunk_count
        figures["disk"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) // 2**20
    print(json.dumps(figures))


def _memory(name: str) -> int:
    """Return a figure of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) // 1024
    raise SystemExit(f"/proc/self/status has no {name}; this benchmark needs Linux.")


if __name__ == "__main__":
    main()
