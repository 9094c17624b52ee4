"""How fast a model in Q4_1 or Q5_1 evaluates prompts and generates, from its own file and from the copy that is used.

Run: python benchmarks/model_speed.py [--model smollm2] [--tokens 512] [--rounds 5] [--threads 1]

Both files are open in one process and take turns, so that a busy machine slows both. CPU seconds are reported.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import versions
from ragkit.models.cpu_format import cpu_file
from ragkit.models.engine import Engine
from ragkit.models.files import model_path

GENERATED = 64


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokens", type=int, default=512, help="length of the prompt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    path = Path(arguments.model) if arguments.model.endswith(".gguf") else model_path(arguments.model)
    files = {"the file": path, "the copy": cpu_file(path)}
    if files["the file"] == files["the copy"]:
        parser.error(f"{path} is used as it is.")
    engines = {name: Engine(file, threads=arguments.threads) for name, file in files.items()}
    prompts: dict[str, list[float]] = {name: [] for name in files}
    replies: dict[str, list[float]] = {name: [] for name in files}
    for number in range(arguments.rounds + 1):
        # Another prompt each round, so that no prefix is reused.
        prompt = [1000 + (number * 7919 + position * 37) % 30000 for position in range(arguments.tokens)]
        for name, engine in engines.items():
            evaluated = seconds(partial(engine.evaluate, prompt))
            generated = seconds(partial(generate, engine, prompt))
            if number:  # The first round reads the files.
                prompts[name].append(arguments.tokens / evaluated)
                replies[name].append(GENERATED / generated)
    print(f"{path.name}, {arguments.threads} threads; {versions('llama-cpp-python')}\n")
    print(f"| | MB | prompt of {arguments.tokens}, tokens/s | reply of {GENERATED}, tokens/s |")
    print("|---|---|---|---|")
    for name, file in files.items():
        size = file.stat().st_size / 1e6
        print(
            f"| {name} | {size:.0f} | {statistics.median(prompts[name]):.0f} | {statistics.median(replies[name]):.0f} |"
        )
    for what, speeds in (("prompts", prompts), ("replies", replies)):
        ratios = [copy / own for own, copy in zip(speeds["the file"], speeds["the copy"], strict=True)]
        print(f"\n{what}: {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def generate(engine: Engine, prompt: list[int]) -> None:
    """Evaluate tokens one by one, as a reply is generated."""
    tokens = list(prompt)
    for position in range(GENERATED):
        tokens.append(500 + position)
        engine.evaluate(tokens)


if __name__ == "__main__":
    main()
