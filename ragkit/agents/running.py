"""Runs calls within limits: each ends with an outcome, regardless of what the tool does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ragkit._process import Child, ended_by_cpu_limit
from ragkit._tracing import carried, in_span
from ragkit.agents.schemas import find_problem
from ragkit.agents.sources import open_tool_file
from ragkit.agents.tool import Tool
from ragkit.errors import ProcessStartError, RagkitError, ToolError

OutcomeKind = Literal["ok", "error", "timeout", "memory", "too_large", "invalid_result", "invalid_call", "refused"]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool's name and arguments."""

    tool: str
    arguments: Mapping[str, Any]
    logprob: float | None = None
    """Mean natural log-probability of the decisions that led to it, if the model is local."""

    def key(self) -> str:
        """Return name and arguments as one text, the same for equal calls."""
        return f"{self.tool}({json.dumps(self.arguments, sort_keys=True, ensure_ascii=False)})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a call."""

    kind: OutcomeKind
    text: str
    """Result for a prompt: a text, or JSON on one line; for other kinds than ``ok``, the reason."""
    value: Any = None
    """Result as JSON value, if the kind is ``ok``."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the tool returned a valid result."""
        return self.kind == "ok"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Limits of a call."""

    seconds: float = 30.0
    """Maximum time."""
    bytes: int = 1_000_000
    """Maximum size of the result as JSON."""
    memory: int = 2 * 2**30
    """Maximum memory of a child process, in bytes beyond Python's own."""


Confirm = Callable[[Tool, Call], bool]
"""Asks a person whether a tool that writes may run; raises ``CallRefusedError`` to say why it may not."""


class CallRefusedError(Exception):
    """A call that writes is refused for the reason in the argument. It becomes an outcome and reaches no caller."""


@dataclass(slots=True)
class ToolRunner:
    """Runs calls of tools.

    Tools of a Python file run in a child process, which is ended at a limit. Other tools run in a thread: at the time
    limit the call ends with an outcome, and the thread is abandoned, since Python can't end it.

    Args:
        limits: limits of a call.
        confirm: asks a person about calls that write; without it, they are refused.
    """

    limits: RunLimits = RunLimits()
    confirm: Confirm | None = None
    _children: dict[str, Child] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def run(self, tool: Tool, call: Call) -> Outcome:
        """Run a call. It never raises: what goes wrong is an outcome."""
        problem = tool.problem(call.arguments)
        if problem:
            return Outcome("invalid_call", f"Invalid arguments for {tool.name}: {problem}")
        if tool.writes and (reason := self._refused(tool, call)):
            return Outcome("refused", f"{tool.name} changes something, and {reason}.")
        started = time.monotonic()
        operation = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool.name}
        with in_span(f"execute_tool {tool.name}", {**operation, "gen_ai.tool.type": "function"}) as span:
            kind, value = self._in_child(tool, call) if tool.file else self._in_thread(tool, call)
            if kind != "ok":
                span.fail(kind)
            if span.with_content:
                arguments = json.dumps(call.arguments, ensure_ascii=False)
                span.set({"gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": str(value)})
        seconds = time.monotonic() - started
        if kind != "ok":
            return Outcome(kind, str(value), None, seconds)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        problem = find_problem(value, tool.result) if tool.result is not None else ""
        if problem:
            return Outcome("invalid_result", f"The result does not match the tool's schema: {problem}", None, seconds)
        return Outcome("ok", text, value, seconds)

    def _refused(self, tool: Tool, call: Call) -> str:
        """Return why a call that writes may not run; empty if it may."""
        if self.confirm is None:
            return "there is nobody to confirm it"
        try:
            return "" if self.confirm(tool, call) else "it was not confirmed"
        except CallRefusedError as error:
            return str(error)

    def close(self) -> None:
        """End the child processes."""
        with self._lock:
            for child in self._children.values():
                child.close()
            self._children.clear()

    def _in_child(self, tool: Tool, call: Call) -> tuple[OutcomeKind, Any]:
        with self._lock:
            child = self._children.pop(tool.file, None)
            try:
                if child is None or not child.alive():
                    # Importing the file does not count as time of the call.
                    child, _ = open_tool_file(Path(tool.file), self.limits.memory)
            except (ProcessStartError, ToolError) as error:
                return "error", error.message
            late = threading.Event()

            def end(child: Child = child) -> None:
                late.set()
                child.kill()

            timer = threading.Timer(self.limits.seconds, end)
            timer.start()
            try:
                request = {
                    "file": tool.file,
                    "name": tool.name,
                    "arguments": dict(call.arguments),
                    "max_bytes": self.limits.bytes,
                    "kept": 2000,
                }
                child.send(request, self.limits.seconds)
                line = child.receive(self.limits.seconds)
            except OSError:
                line = b""
            finally:
                timer.cancel()
            if not line:
                code = child.exit_code()
                child.close()
                if late.is_set() or ended_by_cpu_limit(code):
                    return "timeout", f"{tool.name} did not end within {self.limits.seconds:g} s."
                return "error", f"The process of {tool.name} ended with exit code {code}."
            self._children[tool.file] = child
        answer = json.loads(line)
        if answer["kind"] == "large":
            return "too_large", self._too_large(tool, answer["size"])
        if answer["kind"] == "memory":
            return "memory", f"{tool.name} needed more than {self.limits.memory / 1e6:,.0f} MB of memory."
        if answer["kind"] == "error":
            return "error", answer["message"]
        return "ok", answer["value"]

    def _in_thread(self, tool: Tool, call: Call) -> tuple[OutcomeKind, Any]:
        ended: list[tuple[OutcomeKind, Any]] = []

        def work() -> None:
            try:
                value = tool.call(call.arguments)
                size = len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
                ended.append(("too_large", self._too_large(tool, size)) if size > self.limits.bytes else ("ok", value))
            except RagkitError as error:
                ended.append(("error", error.message))
            except BaseException as error:  # noqa: BLE001 - a tool may raise anything, SystemExit included
                ended.append(("error", f"{type(error).__name__}: {error}"[:2000]))

        thread = threading.Thread(target=carried(work), name=f"tool {tool.name}", daemon=True)
        thread.start()
        thread.join(self.limits.seconds)
        if not ended:
            return "timeout", f"{tool.name} did not end within {self.limits.seconds:g} s."
        return ended[0]

    def _too_large(self, tool: Tool, size: int) -> str:
        return f"{tool.name} returned {size:,} bytes; the limit is {self.limits.bytes:,}."
