"""What a chain of models does when its first one fails, in twelve ways.

Run: python benchmarks/faults.py [--quick]

Each call goes to a chain of two models. The first has the fault: an endpoint on this machine over real connections, a
model file, or a process without memory. The second is SmolLM2 or a scripted model; in every fifth call it is faulty as
well. The seed draws the kind's variant, the deadline, and whether the reply streams through or is judged whole. A call
passes where it ends by its deadline with an answer or an error that says what was tried; where what it gave out is one
model's reply, or before an error the beginning of one; and where, the endpoint still being there, no thread or
connection of it is left after twice its deadline, and no key stands in any error, traceback, trace or log line.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions
from ragkit.errors import RagkitError
from ragkit.models import ChatModel, GenerationOptions, complete, open_model
from ragkit.models.chain.fallback import FallbackModel, FallbackPolicy, Member
from ragkit.models.chain.route import answering_model
from ragkit.models.files import model_path
from ragkit.models.scripted import ScriptedModel
from ragkit.records import Message
from tests.models.fault_server import REPLY, FaultServer, closed_port, fault_process

KINDS: dict[str, tuple[str, ...]] = {
    "refused": ("closed port",),
    "slow": ("silent", "trickle", "comments"),
    "cut stream": ("cut", "late cut"),
    "429": ("429", "429 wait"),
    "500": ("500",),
    "malformed": ("malformed", "foreign"),
    "wrong JSON": ("wrong json",),
    "empty": ("empty",),
    "oversize": ("endless", "long line"),
    "model file gone": ("no file", "cut file", "other file"),
    "out of memory": ("memory",),
    "killed": ("killed",),
}
"""The faults of the table, each with its variants."""
KEY = "zq7-Vb.benchmark.key"
"""Of no known form, so that no pattern finds it: it has to be kept out where it is known."""
PROMPT = "When does the last bus leave the observatory?"
ASK = [Message("system", "Answer in one short sentence."), Message("user", PROMPT)]
SECOND = "There is a timetable at the gate."
SCHEMA = {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}, "required": ["answer"]}
PLAIN = GenerationOptions(max_tokens=12)
AS_JSON = GenerationOptions(max_tokens=24, json_schema=SCHEMA)
ENDLESS = re.compile(rf"The( word)*|{re.escape(REPLY)}( word)*")
MEMORY = (30, 500)
"""Megabytes beyond what is in use that the process without memory may take: too few for SmolLM2's file, or for its
context."""


@dataclass
class Seen:
    """What came of a call."""

    seconds: float
    deadline: float
    answered_by: str | None
    error: str
    doubled: bool
    both: bool = False
    """The second model was faulty too."""
    part: bool = False
    """The error came after a part of a reply had been given out."""
    leaks: list[str] = field(default_factory=list)


class Log(logging.Handler):
    """Keeps every line that anything logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(self.format(record))


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="2 seeds instead of 20")
    arguments.add_argument("--without-memory", type=int, metavar="SEED", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.without_memory is not None:
        print(json.dumps(asdict(call("memory", given.without_memory, None))))
        return
    seeds = 2 if given.quick else 20
    local = open_model("smollm2", threads=1)
    replies = {id(options): complete(local, ASK, options).text for options in (PLAIN, AS_JSON)}
    print(versions("llama-cpp-python", "openai", "httpx"))
    print(f"\n{len(KINDS)} kinds of faults, {seeds} seeds each\n")
    print(
        "| fault of the first | calls | answered by the second | clear error: both faulty | after a part | other",
        end="",
    )
    print(" | past deadline | no clear error | doubled | leaked | slowest, of its deadline |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    everything: list[Seen] = []
    for kind, variants in KINDS.items():
        seen = []
        for seed in range(seeds):
            variant = variants[seed % len(variants)]
            if variant == "memory":
                seen.append(in_child(seed))
            else:
                seen.append(call(variant, seed, (local, replies)))
        row(kind, seen)
        everything += seen
    row("all", everything)
    for problem in sorted({leak for one in everything for leak in one.leaks}):
        print(f"\nleaked: {problem}")
    for one in everything:
        if one.error.startswith("unclear"):
            print(f"\n{one.error}")
    others = Counter(one.error.partition(":")[0] for one in everything if one.error and not one.both | one.part)
    print(f"\nother: {dict(others)}")


def row(kind: str, seen: list[Seen]) -> None:
    """Print one row of the table."""
    answered = sum(one.answered_by is not None for one in seen)
    clear = [one for one in seen if one.error and not one.error.startswith("unclear")]
    part = sum(one.part for one in clear)
    both = sum(one.both and not one.part for one in clear)
    unclear = len(seen) - answered - len(clear)
    late = sum(one.seconds > one.deadline for one in seen)
    slowest = max(one.seconds / one.deadline for one in seen)
    doubled, leaked = sum(one.doubled for one in seen), sum(bool(one.leaks) for one in seen)
    counts = [len(seen), answered, both, part, len(clear) - both - part, late, unclear, doubled, leaked]
    print(f"| {kind} | {' | '.join(map(str, counts))} | {slowest:.0%} |", flush=True)


def call(variant: str, seed: int, local: tuple[ChatModel, dict[int, str]] | None) -> Seen:
    """Make one call and look at what came of it.

    Args:
        variant: the first model's fault.
        seed: draws the rest.
        local: SmolLM2 with its reply for each of the options; None where there is no memory for it.
    """
    draw = random.Random(f"{variant} {seed}")
    options = AS_JSON if variant == "wrong json" else PLAIN
    deadline = draw.uniform(1.5, 3.0)
    check = (lambda reply: None) if draw.random() < 0.5 else None
    texts = [REPLY, SECOND if options is PLAIN else '{"answer": "no"}']
    log = Log()
    logging.getLogger().addHandler(log)
    logging.getLogger().setLevel(logging.DEBUG)
    with ExitStack() as stack:
        first, kill = stack.enter_context(faulty(variant, draw))
        if seed % 5 == 4:
            second, _ = stack.enter_context(faulty(draw.choice(["silent", "500", "cut", "empty", "closed port"]), draw))
        elif local is not None and draw.random() < 0.5:
            texts.append(local[1][id(options)])
            second = local[0]
        else:
            second = ScriptedModel(texts[-1])
        chain = FallbackModel([first, second], FallbackPolicy(timeout=deadline, check=check))
        started = time.monotonic()
        if kill is not None and check is not None:
            threading.Timer(0.2, kill).start()
        given, route, error = "", (), None
        try:
            for delta in chain.stream(ASK, options):
                given += delta.text
                route = delta.route or route
                if kill is not None and given:
                    kill()
        except Exception as raised:
            error = raised
            route = getattr(raised, "attempts", ())
        seconds = time.monotonic() - started
        shown = [repr(route), *log.lines]
        if error is not None:
            shown += [str(error), *traceback.format_exception(error)]
        told = "" if error is None else clear(error)
        error = None
        leaks = [f"the key, at {variant}: {line[:200]}" for line in shown if KEY in line]
        leaks += [f"the prompt in a reason, at {variant}" for one in route if PROMPT[:20] in one.reason]
        leaks += left_over(chain, started + 2 * deadline, variant)
    logging.getLogger().removeHandler(log)
    fine = given in texts if not told else not given or ENDLESS.fullmatch(given) or starts_one(given, texts)
    by = None if told else answering_model(route)
    return Seen(seconds, deadline, by, told, not fine, seed % 5 == 4, bool(told and given), leaks)


def starts_one(given: str, texts: list[str]) -> bool:
    """Return whether what was given out is the beginning of one of the replies."""
    return any(text.startswith(given) for text in texts)


def clear(error: Exception) -> str:
    """Return an error's kind, marked where it is none of ragkit's or does not say how it came to it."""
    says = isinstance(error, RagkitError) and bool(error.hint) and bool(getattr(error, "attempts", ()))
    return f"{'' if says else 'unclear: '}{type(error).__name__}: {error}"


def left_over(chain: FallbackModel, until: float, variant: str) -> list[str]:
    """Return the threads and connections of a call that are there after a time, the endpoint still being up."""
    while working() and time.monotonic() < until:
        time.sleep(0.02)
    leaks = [f"a thread, at {variant}: {name}" for name in working()]
    chain.close()
    gc.collect()
    return leaks + [f"a connection, at {variant}" for _ in range(connections())]


def working() -> list[str]:
    """Return the names of threads that work for models."""
    own = ("ragkit-model", "Timer")
    names = [f"{thread.name} {type(thread).__name__}" for thread in threading.enumerate()]
    return [name for name in names if any(part in name for part in own)]


def connections() -> int:
    """Count this process's connections to endpoints: those whose other end is a port that one listens on."""
    listening, peers = set(), []
    for entry in list(Path("/proc/self/fd").iterdir()):
        if not entry.is_socket():
            continue
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as one:
            if one.family == socket.AF_INET:
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    listening.add(one.getsockname()[1])
                else:
                    peers.append(one.getpeername()[1])
    return sum(port in listening for port in peers)


@contextmanager
def faulty(variant: str, draw: random.Random) -> Iterator[tuple[Member | str, Any]]:
    """Yield a model with a fault, and what kills its endpoint, where that is the fault."""
    if variant == "memory":
        import llama_cpp  # noqa: F401 - the library is there; it is the model that there is no memory for

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + draw.randint(*MEMORY) * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        yield Member("smollm2", {"threads": 1}), None
    elif variant.endswith("file"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.gguf"
            if variant == "cut file":
                path.write_bytes(model_path("smollm2").read_bytes()[: draw.randint(10, 50_000_000)])
            elif variant == "other file":
                path.write_bytes(draw.randbytes(10_000))
            yield str(path), None
    elif variant == "closed port":
        yield endpoint(f"http://127.0.0.1:{closed_port()}/v1"), None
    elif variant == "killed":
        with fault_process("trickle") as (process, url):
            yield endpoint(url), process.kill
    else:
        with FaultServer(variant) as server:
            yield endpoint(server.url), None


def endpoint(url: str) -> Member:
    """Return an endpoint as a chain's member."""
    return Member("openai:tiny", {"base_url": url, "api_key": KEY, "max_retries": 1})


def in_child(seed: int) -> Seen:
    """Make the call of a process without memory."""
    command = [sys.executable, __file__, "--without-memory", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return Seen(0.0, 1.0, None, f"unclear: the process ended with {done.returncode}: {done.stderr[-300:]}", False)
    return Seen(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
