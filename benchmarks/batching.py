"""One model, many people: one reply after another, several at once, and llama_cpp.server, side by side.

    python benchmarks/batching.py --clients 32 --seconds 120
    python benchmarks/batching.py --clients 32 --seconds 120 --questions xquad
    python benchmarks/batching.py                           four clients for 20 seconds

`ragkit serve` runs as a process of its own, in turn with `--parallel 1`, with `--parallel N`, and with llama_cpp.server
as its model, so that search, prompts and checks are the same. Only answers of the model count; abstentions do not.
With `samples`, clients ask a few questions again and again with a number added, so prompts often begin like earlier
ones. With `xquad`, each question is asked once and has passages of its own, so only the instructions are common.
A client whose first token has not come at the end counts with the time that it has waited.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import xquad
from benchmarks.machine import versions
from benchmarks.serving import QUESTIONS, SAMPLES, WARM_UP, body, events, rss, server_process
from ragkit import Index
from ragkit.models.files import model_path

URL = "/api/collections/samples/answers"


@dataclass
class Seen:
    """What the clients of one run saw."""

    first: list[float] = field(default_factory=list)
    answers: int = 0
    abstained: int = 0
    errors: list[str] = field(default_factory=list)


def made_index(folder: Path, questions: str, limit: int) -> list[str]:
    """Create the index that all servers use, and return the questions."""
    if questions == "samples":
        with Index.create(folder / "samples") as index:
            index.add(SAMPLES)
        return [question for question in QUESTIONS if question != WARM_UP]
    documents, asked = xquad()
    documents = documents[: limit or None]
    with Index.create(folder / "samples") as index:
        index.add(documents)
    known = {document.id for document in documents}
    return [question.text for question in asked if question.document in known]


@contextmanager
def llama_cpp_server(model: str, threads: int) -> Iterator[str]:
    """Run llama_cpp.server with the model; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"model": model_path(model), "port": port, "n_ctx": 8192, "interrupt_requests": "false"}
    if threads:
        options |= {"n_threads": threads, "n_threads_batch": threads}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "llama_cpp.server", "--host", "127.0.0.1", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/v1"
        while True:
            try:
                httpx.get(f"{url}/models", timeout=5)
                break
            except httpx.HTTPError:
                if process.poll() is not None:
                    sys.exit("llama_cpp.server does not start: install llama-cpp-python[server]")
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


async def visit(client: httpx.AsyncClient, questions: Iterator[str], k: int, end: float, seen: Seen) -> None:
    while time.monotonic() < end:
        began, waits = time.monotonic(), True
        try:
            async with client.stream("POST", URL, json=body(next(questions), k)) as response:
                if response.status_code != 200:
                    seen.errors.append(str(response.status_code))
                    await asyncio.sleep(1)
                    continue
                async for name, data in events(response):
                    if name == "delta" and waits:
                        seen.first.append(time.monotonic() - began)
                        waits = False
                    if name == "error":
                        seen.errors.append(data["message"])
                    if name == "finished":
                        answer = data["message"]["answer"]
                        seen.answers += not answer["abstained"]
                        seen.abstained += answer["abstained"]
                        if not answer["abstained"] and waits:
                            seen.first.append(time.monotonic() - began)
                        waits = False
        except asyncio.CancelledError:
            if waits:
                seen.first.append(time.monotonic() - began)
            raise
        except httpx.HTTPError as error:
            seen.errors.append(repr(error))


async def load(url: str, clients: int, seconds: float, questions: Iterator[str], k: int) -> Seen:
    seen = Seen()
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=httpx.Limits(max_connections=clients)) as client:
        end = time.monotonic() + seconds
        tasks = [asyncio.create_task(visit(client, questions, k, end, seen)) for _ in range(clients)]
        await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return seen


def endless(questions: list[str]) -> Iterator[str]:
    """Yield the questions again and again; from the second time on with a number, so that none is the same."""
    for turn in itertools.count():
        for question in questions:
            yield f"{question} ({turn})" if turn else question


def row(name: str, seen: Seen, memory: float) -> str:
    first = sorted(seen.first)
    median = statistics.median(first) if first else float("nan")
    p95 = first[min(len(first) - 1, int(0.95 * len(first)))] if first else float("nan")
    errors = f"  errors {len(seen.errors)} {sorted(set(seen.errors))[:2]}" if seen.errors else ""
    return f"{name:<34}  {seen.answers:>7}  {seen.abstained:>9}  {median:>9.2f}  {p95:>7.2f}  {memory:>11.0f}{errors}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--alone", type=float, default=0, help="seconds of one client alone; 0 for a quarter")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0, help="of the model; 0 for all cores")
    parser.add_argument("--k", type=int, default=8, help="passages in a prompt")
    parser.add_argument("--questions", choices=["samples", "xquad"], default="samples")
    parser.add_argument("--limit", type=int, default=0, help="paragraphs of XQuAD; 0 for all")
    options = parser.parse_args()
    print(versions("ragkit", "llama-cpp-python", "fastapi"))
    print(f"{options.clients} clients for {options.seconds:g} s, {options.model}, questions of {options.questions}\n")
    print(f"{'':<34}  answers  abstained  first p50  p95 (s)  memory (MB)")
    with tempfile.TemporaryDirectory() as folder:
        questions = made_index(Path(folder) / "indexes", options.questions, options.limit)
        modes = [
            ("one after another (--parallel 1)", 1),
            (f"at once (--parallel {options.parallel})", options.parallel),
            ("llama_cpp.server", 0),
        ]
        for name, parallel in modes:
            other = nullcontext("") if parallel else llama_cpp_server(options.model, options.threads)
            with other as address:
                words = ["--model", options.model if parallel else f"openai:{options.model}"]
                words += ["--threads", str(options.threads), "--parallel", str(max(1, parallel))]
                environment = os.environ | ({"RAGKIT_BASE_URL": address} if address else {})
                with server_process(Path(folder), words, environment) as (url, pid):
                    asked = endless(questions)
                    for clients, seconds in (
                        (1, options.alone or options.seconds / 4),
                        (options.clients, options.seconds),
                    ):
                        seen = asyncio.run(load(url, clients, seconds, asked, options.k))
                        print(row(f"{name}, {clients} client{'s' * (clients > 1)}", seen, rss(pid)), flush=True)


if __name__ == "__main__":
    main()
