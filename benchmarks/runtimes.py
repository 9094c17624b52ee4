"""Runtimes of the default embedding model side by side, by the instructions of the CPU.

Run: pip install -e '.[torch]'
     python benchmarks/runtimes.py [--limit N]

Embeds XQuAD-en's paragraphs on one core with ONNX int8 and with torch (float32). Each runtime is a process of its own.
On x86-64 Linux with gcc and a CPU with the flag ``cpuid_fault``, each runs again as on CPUs without VNNI and without
AVX-512, which ``data/mask_cpuid.c`` hides from the process. Processor time is measured, fastest of 3. Cosines are to
torch's vectors and to those of ONNX int8 with all instructions, so they show whether an index moves between machines.
The cold start is the processor time of a process that embeds one text, imports included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import xquad
from benchmarks.machine import versions
from ragkit._machine import cpu_flags
from ragkit.embedding import open_embedder

MASK = Path(__file__).parent / "data" / "mask_cpuid.c"
CPUID_REFUSED = 77
"""Exit status of a process where the kernel does not let it hide instructions."""
HIDDEN = {"": "all of this CPU", "vnni": "no VNNI", "avx512": "no AVX-512"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=60, help="paragraphs")
    parser.add_argument("--only", nargs=2, metavar=("RUNTIME", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        measure(arguments.only[0], Path(arguments.only[1]), arguments.limit)
        return
    print(versions("onnxruntime", "torch", "sentence-transformers"), "\n")
    print("| instructions | runtime | chunks/s | cold start s | cosine to float32, mean and least | to int8 here |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        library = build_mask(Path(folder))
        found = {}
        for hidden in HIDDEN if library else [""]:
            for runtime in ("torch", "onnx"):
                file = Path(folder) / f"{runtime}-{hidden}.npz"
                command = [sys.executable, __file__, "--only", runtime, str(file), "--limit", str(arguments.limit)]
                subprocess.run(command, env=masked(hidden, library), check=True)
                found[hidden, runtime] = np.load(file)
        for (hidden, runtime), run in found.items():
            exact = (run["vectors"] * found["", "torch"]["vectors"]).sum(axis=1)
            here = (run["vectors"] * found["", "onnx"]["vectors"]).sum(axis=1)
            print(
                f"| {HIDDEN[hidden]} | {runtime} | {len(exact) / run['seconds']:.1f} | {run['cold']:.2f}"
                f" | {exact.mean():.4f}, {exact.min():.4f} | {here.mean():.4f}, {here.min():.4f} |"
            )


def build_mask(folder: Path) -> Path | None:
    """Build the library that hides instructions; None where the machine can't do that."""
    if shutil.which("gcc") is None or not {"cpuid_fault", "avx2"} <= cpu_flags():
        return None
    library = folder / "mask_cpuid.so"
    subprocess.run(["gcc", "-shared", "-fPIC", str(MASK), "-o", str(library)], check=True)
    return library


def masked(hidden: str, library: Path | None) -> dict[str, str]:
    """Return the environment of a process that must not see some instructions, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if hidden:
        environment |= {"HIDE_INSTRUCTIONS": hidden, "LD_PRELOAD": str(library)}
    return environment


def measure(runtime: str, file: Path, limit: int) -> None:
    """Embed with one runtime, and write the vectors and processor times."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    documents = xquad()[0]
    texts = [document.text[:900] for document in documents[:: max(1, len(documents) // limit)]][:limit]
    embedder = open_embedder(runtime=runtime, device="cpu")
    embedder.embed(texts[:1])
    cold, seconds = time.process_time(), float("inf")
    for _ in range(3):
        started = time.process_time()
        vectors = embedder.embed(texts)
        seconds = min(seconds, time.process_time() - started)
    np.savez(file, vectors=vectors, seconds=seconds, cold=cold)


if __name__ == "__main__":
    main()
