"""What a person waits for before anything happens: cold processes.

Run: python benchmarks/start_up.py [--runs N]

Targets: ``import ragkit`` 0.15 s, ``ragkit --help`` 0.4 s, ``ragkit search`` 1.0 s. Each run is a process of its own;
the files are in the page cache and Python's byte code is written, as after a first use.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import versions

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        cli = [sys.executable, "-m", "ragkit.cli"]
        index = str(Path(folder) / "index")
        subprocess.run(
            [*cli, "sync", str(ROOT / "docs" / "samples"), "--index", index],
            check=True,
            capture_output=True,
            env=environment,
        )
        print(f"{versions()}\n")
        print("| what | median s | fastest s | target s |")
        print("|---|---|---|---|")
        for name, command, target in (
            ("an empty Python", [sys.executable, "-c", "pass"], "–"),
            ("`import ragkit`", [sys.executable, "-c", "import ragkit"], "0.15"),
            ("`ragkit --help`", [*cli, "--help"], "0.4"),
            ("`ragkit search`", [*cli, "search", index, "last bus"], "1.0"),
        ):
            seconds = []
            for _ in range(arguments.runs + 1):
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, env=environment)
                seconds.append(time.perf_counter() - started)
            print(f"| {name} | {statistics.median(seconds[1:]):.2f} | {min(seconds[1:]):.2f} | {target} |", flush=True)


if __name__ == "__main__":
    main()
