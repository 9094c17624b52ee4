"""Tools from Python files, and tool sources by name: a file, an OpenAPI document, or an MCP server."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit._process import Child
from ragkit.agents.tool import Tool
from ragkit.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Never

_START = 60.0
_MEMORY = 2 * 2**30


def tools_from_file(path: str | Path, names: tuple[str, ...] = ()) -> list[Tool]:
    """Make tools of the public functions of a Python file that have type hints and a docstring.

    The file is imported in a child process only, where the tools also run. A function whose attribute ``writes`` is
    true needs a confirmation.

    Args:
        path: path of the file.
        names: functions to take; by default all.

    Raises:
        ToolError: if the file can't be imported, or has no such function.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise ToolError(f"Tool file not found: {file}.", "Specify a Python file with functions.")
    child, found = open_tool_file(file, _MEMORY)
    child.close()
    known = [item["name"] for item in found]
    missing = [name for name in names if name not in known]
    if missing or not found:
        raise ToolError(
            f"{file.name} has no function {', '.join(missing)} with type hints and a docstring.",
            f"Functions: {', '.join(known) or 'none'}. Public functions with type hints and a docstring become tools.",
        )
    return [
        Tool(
            item["name"],
            item["description"],
            item["parameters"],
            _runs_in_child,
            item["result"],
            item["writes"],
            str(file),
        )
        for item in found
        if not names or item["name"] in names
    ]


def open_tool_file(file: Path, memory: int) -> tuple[Child, list[dict[str, Any]]]:
    """Start a child process that has imported a file, and return it with the descriptions of the file's tools.

    Raises:
        ToolError: if the file can't be imported.
        ProcessStartError: if the process can't be started.
    """
    child = Child("ragkit.agents.child", memory)
    timer = threading.Timer(_START, child.kill)
    timer.start()
    found: list[dict[str, Any]] = []
    try:
        child.send({"file": str(file)}, _START)
        while True:
            line = child.receive(_START)
            answer = json.loads(line) if line else {"kind": "error", "message": f"it takes more than {_START:g} s"}
            if answer["kind"] == "end":
                return child, found
            if answer["kind"] != "tool":
                raise ToolError(
                    f"{file.name} can't be imported: {answer.get('message', 'out of memory')}.", "Correct the file."
                )
            found.append(answer)
    except BaseException:
        child.close()
        raise
    finally:
        timer.cancel()


def _runs_in_child(arguments: Mapping[str, Any]) -> Never:
    raise ToolError("A tool of a file runs in a child process.", "Use ToolRunner.")
