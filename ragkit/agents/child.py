"""Child process that imports a Python file of tools, describes its functions, and calls them."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ragkit._child import serve
from ragkit.agents.tool import Tool


@lru_cache(maxsize=1)
def _tools(file: str) -> dict[str, Tool]:
    # Modules beside the file can be imported, as with `python FILE`.
    sys.path.insert(0, str(Path(file).parent))
    spec = importlib.util.spec_from_file_location("tools_file", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tools_file"] = module
    spec.loader.exec_module(module)
    functions = [item for _, item in inspect.getmembers(module, inspect.isfunction) if item.__module__ == "tools_file"]
    functions.sort(key=lambda function: function.__code__.co_firstlineno)
    public = [item for item in functions if not item.__name__.startswith("_") and inspect.getdoc(item)]
    return {item.__name__: Tool.from_function(item, writes=bool(getattr(item, "writes", False))) for item in public}


def _answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        tools = _tools(request["file"])
        if "name" not in request:
            for tool in tools.values():
                yield {
                    "kind": "tool",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "result": tool.result,
                    "writes": tool.writes,
                }
            yield {"kind": "end"}
            return
        value = tools[request["name"]].call(request["arguments"])
        text = json.dumps(value, ensure_ascii=False)
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > request["max_bytes"]:
            yield {
                "kind": "large",
                "size": size,
                "text": (value if isinstance(value, str) else text)[: request["kept"]],
            }
        else:
            yield {"kind": "ok", "value": value}
    except MemoryError:
        yield {"kind": "memory"}
    except BaseException as error:  # noqa: BLE001 - a tool may raise anything, SystemExit included
        yield {"kind": "error", "message": f"{type(error).__name__}: {error}"[:2000]}


if __name__ == "__main__":
    serve(_answer)
