"""OpenTelemetry under load: threads that stream answers, some of them abandoned.

Run: python benchmarks/telemetry.py [--threads 32] [--asks 50] [--rounds 3]

Each round runs the load in three processes of its own: without OpenTelemetry, with the API alone, and with an SDK that
keeps the spans in memory. The model is scripted, so that the time is ragkit's own. Targets: every span below its
parent, none left open, and a median at most 1 % above that without OpenTelemetry.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import versions

ROOT = Path(__file__).resolve().parents[1]
MODES = {"off": "without OpenTelemetry", "api": "the API alone", "sdk": "with an SDK"}
QUESTION = "What is the focal length of the Meridian 40?"
REPLY = "The focal length of the Meridian 40 is 40 mm [1]. It is a lens [1]. It has a cap [1]."
ABANDONED_EVERY = 5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--asks", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--index", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mode:
        print(json.dumps(load(arguments.mode, arguments.index, arguments.threads, arguments.asks)))
        return
    with tempfile.TemporaryDirectory() as folder:
        index = str(Path(folder) / "index")
        sync = [sys.executable, "-m", "ragkit.cli", "sync", str(ROOT / "docs" / "samples"), "--index", index]
        subprocess.run(sync, check=True, capture_output=True)
        command = [sys.executable, __file__, "--threads", str(arguments.threads), "--asks", str(arguments.asks)]
        made: dict[str, list[dict]] = {mode: [] for mode in MODES}
        for number in range(arguments.rounds):
            # Each mode is first, second and last in turn.
            order = [*MODES][number % 3 :] + [*MODES][: number % 3]
            for mode in order:
                done = subprocess.run(
                    [*command, "--mode", mode, "--index", index], check=True, capture_output=True, text=True
                )
                made[mode].append(json.loads(done.stdout))
    print(f"{versions()}\n")
    print("| | p50 ms of each round | median of the ratios | spans | open | misplaced |")
    print("|---|---|---|---|---|---|")
    for mode, name in MODES.items():
        medians = [run["p50"] for run in made[mode]]
        ratio = statistics.median(p50 / run["p50"] for p50, run in zip(medians, made["off"], strict=True))
        shown = ", ".join(f"{1000 * p50:.1f}" for p50 in medians)
        last = made[mode][-1]
        print(f"| {name} | {shown} | {ratio:.3f} | {last['spans']} | {last['open']} | {last['misplaced']} |")


def load(mode: str, folder: str, threads: int, asks: int) -> dict[str, float]:
    """Run the load in this process and return the median seconds of complete answers and the counts of spans."""
    exporter, started = None, []
    if mode != "off":
        import opentelemetry.metrics
        import opentelemetry.trace
    if mode == "sdk":
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        class Started(SpanProcessor):
            def on_start(self, span, parent_context=None):
                started.append(span.get_span_context().span_id)

        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        provider.add_span_processor(Started())
        opentelemetry.trace.set_tracer_provider(provider)
    from ragkit import Assistant, Index
    from ragkit.answering import TextDelta
    from ragkit.models import ScriptedModel

    seconds: list[float] = []
    with Index.open(folder) as index:
        assistant = Assistant(index, model=ScriptedModel(REPLY), mode="chat")
        assistant.ask(QUESTION)

        def work() -> None:
            for number in range(asks):
                abandoned = number % ABANDONED_EVERY == 0
                began = time.perf_counter()
                for event in assistant.stream(QUESTION):
                    if abandoned and isinstance(event, TextDelta):
                        break
                if not abandoned:
                    seconds.append(time.perf_counter() - began)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    gc.collect()
    spans = exporter.get_finished_spans() if exporter else ()
    by_id = {span.context.span_id: span for span in spans}
    misplaced = 0
    for span in spans:
        parent = by_id.get(span.parent.span_id) if span.parent else None
        inner = span.name != "ragkit.ask"
        misplaced += inner and (parent is None or parent.context.trace_id != span.context.trace_id)
    asked = sum(span.name == "ragkit.ask" for span in spans)
    assert not spans or asked == threads * asks + 1
    return {
        "p50": statistics.median(seconds),
        "spans": len(spans),
        "open": len(set(started) - set(by_id)),
        "misplaced": misplaced,
    }


if __name__ == "__main__":
    main()
