"""The server under load: many clients that stream, clients that leave, and what it adds to the first token.

    python benchmarks/serving.py --clients 32 --seconds 120
    python benchmarks/serving.py --leavers 200
    python benchmarks/serving.py --first-token
    python benchmarks/serving.py --quick           all three, small

The server is a process of its own, `ragkit serve` as people run it, with the sample documents and the default model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import versions
from ragkit import Index, Message

SAMPLES = Path(__file__).resolve().parents[1] / "docs" / "samples"
WARM_UP = "What kind of telescope is the Meridian 40?"
QUESTIONS = [
    "What is the focal length of the Meridian 40?",
    "How much revenue did the company report for 2025?",
    "May visitors take photographs?",
    "When does the last bus leave?",
    "How is the primary mirror cleaned?",
    "Who signs visitors in at the front desk?",
    "What does a family ticket cost?",
    "How long must the telescope cool down before observing?",
    "How many people worked for the company at the end of the year?",
    "Can I bring a dog?",
    "What has to be done before the drive is switched on?",
    "Which risks does the report name?",
]


@contextmanager
def served(threads: int) -> Iterator[tuple[str, int]]:
    """Run the server with the sample documents; yield its address and process id."""
    with tempfile.TemporaryDirectory() as folder:
        with Index.create(Path(folder) / "indexes" / "samples") as index:
            index.add(SAMPLES)
        with server_process(Path(folder), ["--model", "smollm2", "--threads", str(threads)]) as running:
            yield running


@contextmanager
def server_process(
    folder: Path, words: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """Run the server in a folder with an index ``samples``; yield its address and process id."""
    command = [sys.executable, "-u", "-m", "ragkit.cli", "serve", "--port", "0", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        found = re.search(r"http://\S+/", said)
        assert found, said
        with httpx.Client(base_url=found.group(), timeout=300) as client:
            while client.get("/health").status_code != 200:
                time.sleep(0.05)
            # The model and the embedder are loaded by the first question.
            client.post("/api/collections/samples/answers", json=body(WARM_UP, 1))
        yield found.group(), process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # a call of an endpoint is still running
            process.kill()
            process.wait()


def body(question: str, k: int = 8) -> dict[str, Any]:
    return {"question": question, "mode": "chat", "k": k}


def rss(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) / 1024 if found else 0.0


def table(values: list[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return (
        f"min {ordered[0]:.3f}  median {statistics.median(ordered):.3f}  p95 {high:.3f}  max {ordered[-1]:.3f}  "
        f"(n = {len(ordered)})"
    )


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@dataclass
class Visitor:
    """What one client saw."""

    first: list[float] = field(default_factory=list)
    pieces: int = 0
    answers: int = 0
    abstained: int = 0
    errors: list[str] = field(default_factory=list)
    unfinished: int = 0


async def visit(client: httpx.AsyncClient, number: int, end: float, seen: Visitor) -> None:
    turn = number
    while time.monotonic() < end:
        question = f"{QUESTIONS[turn % len(QUESTIONS)]} ({number}.{turn})"
        turn += 1
        began, first = time.monotonic(), True
        seen.unfinished = 1
        try:
            async with client.stream("POST", "/api/collections/samples/answers", json=body(question)) as response:
                if response.status_code != 200:
                    seen.errors.append(f"{response.status_code}")
                    await asyncio.sleep(1)
                    continue
                async for name, data in events(response):
                    if name == "delta" or (name == "finished" and first):
                        if first:
                            seen.first.append(time.monotonic() - began)
                            first = False
                        seen.pieces += name == "delta"
                    if name == "error":
                        seen.errors.append(data["message"])
                    if name == "finished":
                        seen.answers += 1
                        seen.abstained += data["message"]["answer"]["abstained"]
        except httpx.HTTPError as error:
            seen.errors.append(repr(error))
        seen.unfinished = 0


async def load(url: str, pid: int, clients: int, seconds: float) -> None:
    print(f"\n## {clients} clients at once for {seconds:g} s")
    seen = [Visitor() for _ in range(clients)]
    memory = [(0.0, rss(pid))]
    began = time.monotonic()
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:
        tasks = [asyncio.create_task(visit(client, n, began + seconds, one)) for n, one in enumerate(seen)]
        while time.monotonic() < began + seconds:
            await asyncio.sleep(min(10, seconds / 4))
            memory.append((time.monotonic() - began, rss(pid)))
        took = time.monotonic() - began
        pieces = sum(one.pieces for one in seen)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(2)
    memory.append((time.monotonic() - began, rss(pid)))
    print("client  answers  first token of each (s)")
    for number, one in enumerate(seen):
        print(f"{number:>6}  {one.answers:>7}  {' '.join(f'{value:.1f}' for value in one.first) or 'none'}")
    errors = [error for one in seen for error in one.errors]
    print(f"first token (s): {table([value for one in seen for value in one.first])}")
    print(
        f"answers {sum(one.answers for one in seen)} ({sum(one.abstained for one in seen)} abstained), "
        f"cut at the end {sum(one.unfinished for one in seen)}, errors {len(errors)} {sorted(set(errors))[:3]}"
    )
    print(f"pieces {pieces} in {took:.0f} s: {pieces / took:.1f}/s")
    print("memory (MB): " + "  ".join(f"{at:.0f} s {size:.0f}" for at, size in memory))


async def outcomes(client: httpx.AsyncClient) -> dict[str, float]:
    """Return how many answers came to which end, by the server's own count."""
    text = (await client.get("/metrics")).text
    found = re.findall(r'ragkit_answers_total\{mode="chat",outcome="(\w+)"\} (\S+)', text)
    return {name: float(value) for name, value in found}


async def leave(url: str, pid: int, leavers: int, at_once: int) -> None:
    """Let clients leave, every fourth while its prompt is read; the others wait in line behind."""
    print(f"\n## {leavers} clients that leave, {at_once} connected at once")
    times: dict[str, list[float]] = {"in mid-stream": [], "while the prompt is read": []}
    places = asyncio.Semaphore(at_once)
    leaving = asyncio.Lock()
    ended = 0
    start = rss(pid)
    async with (
        httpx.AsyncClient(base_url=url, timeout=None, limits=httpx.Limits(max_connections=at_once + 1)) as client,
        httpx.AsyncClient(base_url=url, timeout=30) as watcher,
    ):
        before = await outcomes(watcher)

        async def one(number: int) -> None:
            nonlocal ended
            in_prompt = number % 4 == 3
            question = f"{QUESTIONS[number % len(QUESTIONS)]} ({number})"
            async with places:
                request = client.build_request(
                    "POST", "/api/collections/samples/answers", json=body(question, 8 if in_prompt else 1)
                )
                response = await client.send(request, stream=True)
                pieces = 0
                async for name, _ in events(response):
                    pieces += name == "delta"
                    if (name == "prompt" and in_prompt) or pieces == 3:
                        break
                else:
                    ended += 1
                    return
                async with leaving:
                    known = await outcomes(watcher)
                    left = time.monotonic()
                    await response.aclose()
                    while sum((now := await outcomes(watcher)).values()) == sum(known.values()):
                        await asyncio.sleep(0.002)
                    if now.get("stopped", 0) > known.get("stopped", 0):
                        kind = "while the prompt is read" if in_prompt else "in mid-stream"
                        times[kind].append(time.monotonic() - left)
                    else:
                        ended += 1

        await asyncio.gather(*(one(number) for number in range(leavers)))
        total = (await outcomes(watcher)).get("stopped", 0) - before.get("stopped", 0)
    for kind, values in times.items():
        print(f"{kind}: until the generation had stopped (s): {table(values)}; over 1 s: {sum(v > 1 for v in values)}")
    print(f"stopped by the server's own count {total:.0f}, over before they could leave {ended}")
    print(f"memory (MB): before {start:.0f}, after {rss(pid):.0f}")


def first_token(url: str, threads: int, rounds: int) -> None:
    """Ask over HTTP and the bare model by turns, with the same prompts in the same order."""
    print(f"\n## First token over HTTP and of the bare model with the same prompt, {rounds} pairs")
    from ragkit.models import open_model

    model = open_model("smollm2", threads=threads)
    ratios, over, bare = [], [], []
    print("prompt tokens  HTTP (s)  bare (s)  ratio   of HTTP: found  ranked")
    with httpx.Client(base_url=url, timeout=None) as client:
        # The first pair only makes both read the same prompt last.
        for number in range(-1, rounds):
            question = f"{QUESTIONS[number % len(QUESTIONS)]}{' Please.' * (number // len(QUESTIONS) + 1)}"
            began = time.perf_counter()
            took = None
            identity = ""
            with client.stream("POST", "/api/collections/samples/answers", json=body(question)) as response:
                name = ""
                for line in response.iter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        if name == "delta" and took is None:
                            took = time.perf_counter() - began
                        if name == "finished":
                            identity = json.loads(line.removeprefix("data: "))["message"]["id"]
            why = client.get(f"/api/messages/{identity}/why").json()
            if took is None:
                continue  # it abstained without asking the model
            messages = [Message(one["role"], one["content"]) for one in why["prompt"]]
            began = time.perf_counter()
            stream = iter(model.stream(messages))
            next(stream)
            alone = time.perf_counter() - began
            stream.close()
            if number < 0:
                continue
            over.append(took)
            bare.append(alone)
            ratios.append(took / alone)
            seconds = why["seconds"]
            print(
                f"{why['receipt']['tokens']:>13}  {took:>8.3f}  {alone:>8.3f}  {took / alone:>5.2f}"
                f"   {seconds.get('retrieve', 0):>14.3f}  {seconds.get('rank', 0):>6.3f}"
            )
    print(f"HTTP (s): {table(over)}")
    print(f"bare (s): {table(bare)}")
    print(f"ratio of each pair: {table(ratios)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--leavers", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=40)
    parser.add_argument("--first-token", action="store_true")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--threads", type=int, default=0, help="of the model; 0 for all cores")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.clients, options.seconds, options.leavers, options.first_token = 6, 15, 8, True
        options.rounds, options.at_once = 4, 4
    print(versions("ragkit", "llama-cpp-python", "fastapi"))
    with served(options.threads) as (url, pid):
        if options.first_token:
            first_token(url, options.threads, options.rounds)
        if options.clients:
            asyncio.run(load(url, pid, options.clients, options.seconds))
        if options.leavers:
            asyncio.run(leave(url, pid, options.leavers, options.at_once))


if __name__ == "__main__":
    main()
