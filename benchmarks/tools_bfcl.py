"""Function calling on the Berkeley Function-Calling Leaderboard (v4): simple, multiple, parallel, irrelevance.

Run: python benchmarks/tools_bfcl.py [--model NAME] [--limit N] [--methods ragkit,free,llama_cpp] [--half a|b|all]

``ragkit`` is ``choose_call`` (``choose_calls`` for parallel), ``free`` is unconstrained generation of JSON with the
same descriptions and two solved examples, ``llama_cpp`` is llama-cpp-python's own ``chatml-function-calling``. Each
call is checked as the leaderboard does (AST): the function's name, required and unknown parameters, types, and each
value in the list of possible answers; strings are compared without case, spaces and punctuation; parallel calls in any
order. A row of irrelevance is right if nothing is called. ``invalid`` counts rows with a call of an unknown function or
with arguments that do not validate. Half ``a`` (even rows) was used to choose thresholds; report half ``b``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit import Message
from ragkit.agents import Call, Tool, ToolBox, choose_call, choose_calls
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.files import model_path

FOLDER = DATA / "bfcl"
FILES = {"simple": "simple_python", "multiple": "multiple", "parallel": "parallel", "irrelevance": "irrelevance"}
TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": None}
KEPT = ("required", "enum", "description", "default", "minItems", "maxItems")
FREE = (
    "Call functions for the user's request. Reply with JSON only: a list of calls, each with name and arguments, or [] "
    "if no function fulfils the request."
)
HOTELS = (
    "Function: hotel_search\nPurpose: Search for hotels.\nParameters:\n- city (string): City of the hotel.\n"
    "- nights (integer): Number of nights."
)
SHOTS = (
    Message("user", f"{HOTELS}\n\nRequest: I need a place in Porto Alegre for three nights."),
    Message("assistant", '[{"name": "hotel_search", "arguments": {"city": "Porto Alegre", "nights": 3}}]'),
    Message("user", f"{HOTELS}\n\nRequest: Who discovered penicillin?"),
    Message("assistant", "[]"),
)


@dataclass(frozen=True)
class Row:
    """A request with its functions and possible answers."""

    request: str
    tools: tuple[Tool, ...]
    answers: tuple[dict[str, dict[str, list[Any]]], ...]


def schema(given: dict[str, Any]) -> dict[str, Any]:
    """Return BFCL's schema as JSON Schema."""
    found: dict[str, Any] = {key: given[key] for key in KEPT if key in given}
    kind = TYPES.get(given.get("type", "any"), given.get("type"))
    if kind is not None:
        found["type"] = kind
    if "properties" in given:
        found["properties"] = {name: schema(part) for name, part in given["properties"].items()}
    if "items" in given:
        found["items"] = schema(given["items"])
    return found


def read(category: str, half: str, limit: int) -> list[Row]:
    """Return the rows of a category."""
    name = f"BFCL_v4_{FILES[category]}.json"
    if not (FOLDER / name).is_file():
        sys.exit(f"skipped: {FOLDER / name} is missing (ShishirPatil/gorilla, BFCL v4)")
    lines = [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]
    answers = FOLDER / "possible_answer" / name
    truth = {}
    if answers.is_file():
        truth = {row["id"]: row["ground_truth"] for row in map(json.loads, answers.read_text().splitlines())}
    rows = [
        Row(
            line["question"][0][-1]["content"],
            tuple(Tool(f["name"], f["description"], schema(f["parameters"]), dict) for f in line["function"]),
            tuple(truth.get(line["id"], ())),
        )
        for line in lines
    ]
    chosen = rows if half == "all" else rows["ab".index(half) :: 2]
    # Spread over the file, whose rows are sorted by topic.
    return chosen[:: max(1, len(chosen) // limit)][:limit] if limit else chosen


def flat(text: str) -> str:
    return re.sub(r"[ ,./\-_*^']", "", text).lower()


def same(value: Any, possible: Any) -> bool:
    """Return whether a value equals one possible value."""
    if isinstance(value, dict) and isinstance(possible, dict):
        lists = {key: item if isinstance(item, list) else [item] for key, item in possible.items()}
        known = all(key in lists and any(same(item, one) for one in lists[key]) for key, item in value.items())
        return known and all(key in value or "" in lists[key] for key in lists)
    if isinstance(value, list) and isinstance(possible, list):
        return len(value) == len(possible) and all(same(a, b) for a, b in zip(value, possible, strict=True))
    if isinstance(value, str) and isinstance(possible, str):
        return flat(value) == flat(possible)
    return isinstance(value, bool) == isinstance(possible, bool) and value == possible


def right(call: Call, answer: dict[str, dict[str, list[Any]]]) -> bool:
    """Return whether a call is one of the possible answers."""
    ((name, wanted),) = answer.items()
    if call.tool != name or any(key not in wanted for key in call.arguments):
        return False
    given = call.arguments
    return all(
        any(same(given[key], one) for one in possible) if key in given else "" in possible
        for key, possible in wanted.items()
    )


def matched(calls: Sequence[Call], answers: Sequence[dict[str, dict[str, list[Any]]]]) -> bool:
    """Return whether calls and answers match one to one, in any order."""
    left = list(answers)
    for call in calls:
        found = next((answer for answer in left if right(call, answer)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def with_ragkit(model: Any) -> Callable[[Row, bool], list[Call]]:
    def ask(row: Row, several: bool) -> list[Call]:
        box = ToolBox(row.tools)
        if several:
            return choose_calls(model, row.request, box)
        call = choose_call(model, row.request, box)
        return [] if call is None else [call]

    return ask


def calls_in(text: str) -> list[Call]:
    """Return the calls of the first JSON value of a text."""
    start = re.search(r"[\[{]", text)
    if start is None:
        return []
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start.start() :])
    except ValueError:
        return []
    items = value if isinstance(value, list) else [value]
    return [
        Call(str(item.get("name")), item["arguments"])
        for item in items
        if isinstance(item, dict) and isinstance(item.get("arguments"), dict)
    ]


def with_free(model: Any) -> Callable[[Row, bool], list[Call]]:
    def ask(row: Row, several: bool) -> list[Call]:
        cards = "\n\n".join(tool.card() for tool in row.tools)
        messages = [Message("system", FREE), *SHOTS, Message("user", f"{cards}\n\nRequest: {row.request}")]
        calls = calls_in(complete(model, messages, GenerationOptions(max_tokens=300)).text)
        return calls if several else calls[:1]

    return ask


def with_llama_cpp(name: str, threads: int) -> Callable[[Row, bool], list[Call]]:
    from llama_cpp import Llama

    model = Llama(
        str(model_path(name)), n_ctx=4096, n_threads=threads, chat_format="chatml-function-calling", verbose=False
    )

    def ask(row: Row, several: bool) -> list[Call]:
        tools: Any = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
            for t in row.tools
        ]
        reply: Any = model.create_chat_completion(
            [{"role": "user", "content": row.request}], tools=tools, tool_choice="auto", temperature=0, max_tokens=300
        )
        calls = []
        for item in reply["choices"][0]["message"].get("tool_calls") or ():
            try:
                arguments = json.loads(item["function"]["arguments"])
            except ValueError:
                continue
            calls.append(Call(item["function"]["name"], arguments if isinstance(arguments, dict) else {}))
        return calls if several else calls[:1]

    return ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--limit", type=int, default=0, help="rows per category (default: all)")
    parser.add_argument("--methods", default="ragkit,free,llama_cpp")
    parser.add_argument("--categories", default=",".join(FILES))
    parser.add_argument("--half", default="all", choices=["a", "b", "all"])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--errors", action="store_true", help="print the rows that are wrong")
    given = parser.parse_args()
    print(f"{given.model}, half {given.half}; {versions('llama-cpp-python')}")
    model: Any = open_model(given.model, threads=given.threads)
    makers = {
        "ragkit": lambda: with_ragkit(model),
        "free": lambda: with_free(model),
        "llama_cpp": lambda: with_llama_cpp(given.model, given.threads),
    }
    print("category     method      rows  right function invalid  none  s/row")
    methods = {name: makers[name]() for name in given.methods.split(",")}
    for category in given.categories.split(","):
        rows = read(category, given.half, given.limit)
        for name, ask in methods.items():
            good = named = invalid = none = 0
            started = time.monotonic()
            for row in rows:
                try:
                    calls = ask(row, category == "parallel")
                except Exception as error:
                    calls = [Call("error", {"error": f"{type(error).__name__}: {error}"[:200]})]
                box = {tool.name: tool for tool in row.tools}
                invalid += any(call.tool not in box or bool(box[call.tool].problem(call.arguments)) for call in calls)
                none += not calls
                named += [call.tool for call in calls] == [next(iter(answer)) for answer in row.answers]
                ok = matched(calls, row.answers)
                good += ok
                if given.errors and not ok:
                    print(f"  {name}: {row.request[:90]!r} {[call.key()[:160] for call in calls]}")
            count = max(1, len(rows))
            print(
                f"{category:<12} {name:<10} {len(rows):>5} {good / count:>6.3f} {named / count:>8.3f} {invalid:>7} "
                f"{none:>5} {(time.monotonic() - started) / count:>6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
