"""On a CUDA GPU: MiniLM chunks/s, and exact search over 10,000,000 vectors with its share of the memory's bandwidth.

Run: python benchmarks/gpu.py [--quick] [--rows N] [--device cuda|cpu]

Without a CUDA device it says so and stops; ``--device cpu`` runs the same code small. The search is the one of
``ragkit.indexing.gpu``. The bandwidth it is held against is measured by copying a tensor on the same device.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import versions
from benchmarks.recombined import picks, sentences, text
from ragkit.embedding import open_embedder
from ragkit.indexing.gpu import TorchVectors


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200,000 vectors and 512 chunks")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments = parser.parse_args()
    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        print(f"skipped: torch {torch.__version__} finds no CUDA device (--device cpu runs the same code)")
        return
    rows = arguments.rows or (200_000 if arguments.quick else 10_000_000)
    embedder = open_embedder(runtime="torch", device=device)
    pool = sentences(embedder, quick=True)
    chunks = [text(pool, row) for row in picks(pool, 512 if arguments.quick else 20_000)]
    embedder.embed(chunks[:256])
    started = time.perf_counter()
    embedder.embed(chunks)
    rate = len(chunks) / (time.perf_counter() - started)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"\n{name}, {versions('torch')}\n")
    print("| what | measured |\n|---|---|")
    print(f"| {embedder.model_id}, chunks/s ({embedder.runtime}) | {rate:,.0f} |", flush=True)
    _search(rows, embedder.dimension, device)


def _search(rows: int, dimension: int, device: str) -> None:
    random = np.random.default_rng(1)
    made = np.empty((rows, dimension), dtype=np.float32)
    for first in range(0, rows, 500_000):
        part = random.standard_normal((min(500_000, rows - first), dimension), dtype=np.float32)
        made[first : first + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    keys = np.arange(rows, dtype=np.int64)
    query = made[rows // 2].copy()
    index = TorchVectors(keys, made, device)
    size = made.nbytes
    del made
    found = index.search(query, 10)
    if found[0][0] != rows // 2:
        raise SystemExit(f"wrong hit: the vector of row {rows // 2} found row {found[0][0]} first")
    median = float(np.median([_timed(lambda: index.search(query, 10), device) for _ in range(20)]))
    block = torch.zeros(min(2**30, size // 4) // 4, dtype=torch.float32, device=device)
    copying = float(np.median([_timed(lambda: block.clone(), device) for _ in range(20)]))
    bandwidth, reached = 2 * block.nbytes / copying / 1e9, size / median / 1e9
    print(f"| exact search over {rows:,} vectors of {dimension}, float32, median ms | {1000 * median:.2f} |")
    print(f"| read, GB/s | {reached:,.0f} |")
    print(f"| share of the bandwidth of a copy ({bandwidth:,.0f} GB/s) | {100 * reached / bandwidth:.0f} % |")


def _timed(work, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
