"""A collection of tools in a JSON file: sources, schemas as they were when they were added, and probe results."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ragkit._files import write_atomically
from ragkit.agents.probing import ProbeResult
from ragkit.agents.tool import Tool
from ragkit.errors import ToolError

_VERSION = 1
_MCP = "mcp:"
_OPENAPI = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool of a collection."""

    name: str
    source: str
    tool: Tool | None
    """None if the source can't be read, or has no such tool any more."""
    probe: ProbeResult | None
    problem: str = ""
    """Why the tool is not offered: its source can't be read, or its schema has changed since it was added."""

    @property
    def offered(self) -> bool:
        """Whether an agent may use it: it has no problem, and is not in quarantine."""
        return not self.problem and (self.probe is None or not self.probe.quarantined)


@dataclass(slots=True)
class ToolFile:
    """A file of tools; a context manager, since MCP servers stay connected until it is closed.

    Raises:
        ToolError: if the file can't be read.
    """

    path: Path
    fingerprints: dict[str, dict[str, str]] = field(default_factory=dict)
    """Fingerprint of each tool, by source and name."""
    writes: set[str] = field(default_factory=set)
    """Names of tools that were marked as writing."""
    probes: dict[str, ProbeResult] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _opened: dict[str, list[Tool]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def open(cls, path: str | Path, *, create: bool = False) -> Self:
        """Open a file of tools.

        Args:
            path: path of the file.
            create: whether a missing file is an empty collection.

        Raises:
            ToolError: if it is missing, or is not a file of tools.
        """
        file = Path(path).expanduser()
        if not file.is_file():
            if create:
                return cls(file)
            raise ToolError(f"Tool collection not found: {file}.", f"Create it: ragkit tools add SOURCE --tools {file}")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["version"] == _VERSION:
                probes = {name: ProbeResult(**item) for name, item in content["probes"].items()}
                return cls(file, content["sources"], set(content["writes"]), probes)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ToolError(
                f"{file} is not a collection of tools: {error}.", "Specify another: --tools FILE"
            ) from error
        raise ToolError(f"{file} has version {content['version']!r}; supported: {_VERSION}.", "Add the tools again.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections to MCP servers."""
        self._stack.close()

    def add(self, source: str, names: Sequence[str] = (), *, writes: bool = False) -> list[Tool]:
        """Add the tools of a source, or update them; ``save`` writes the file.

        Args:
            source: Python file, OpenAPI document (file or address), or ``mcp:`` and a command or address.
            names: tools to add; by default all.
            writes: whether to mark them as writing.

        Raises:
            ToolError: if the source can't be read, or has no such tool, or another source has a tool of the same name.
        """
        name = _absolute(source)
        self._opened.pop(name, None)
        tools = self._tools(name)
        missing = [item for item in names if item not in {tool.name for tool in tools}]
        if missing:
            raise ToolError(
                f"{source} has no tool {', '.join(missing)}.", f"Tools: {', '.join(tool.name for tool in tools)}."
            )
        chosen = [tool for tool in tools if not names or tool.name in names]
        for tool in chosen:
            other = next((key for key, known in self.fingerprints.items() if key != name and tool.name in known), None)
            if other is not None:
                raise ToolError(f"{other} already has a tool {tool.name}.", "Add the others by name: --name NAME")
            self.probes.pop(tool.name, None)
        if writes:
            self.writes |= {tool.name for tool in chosen}
        known = self.fingerprints.setdefault(name, {})
        known.update({tool.name: tool.fingerprint() for tool in chosen})
        return [self._marked(tool) for tool in chosen]

    def listed(self) -> list[Listed]:
        """Return the tools; sources are read again, and what changed since a tool was added is its problem."""
        return [self._listed(source, name) for source, known in self.fingerprints.items() for name in known]

    def offered(self) -> list[Tool]:
        """Return the tools that an agent may use."""
        return [item.tool for item in self.listed() if item.offered and item.tool is not None]

    def due(self, now: float | None = None) -> list[Tool]:
        """Return the tools to probe: those never probed, and those whose quarantine is over."""
        moment = time.time() if now is None else now
        return [
            item.tool
            for item in self.listed()
            if item.tool is not None and not item.problem and (item.probe is None or item.probe.is_due(moment))
        ]

    def _listed(self, source: str, name: str) -> Listed:
        probe = self.probes.get(name)
        try:
            tool = next((tool for tool in self._tools(source) if tool.name == name), None)
        except ToolError as error:
            return Listed(name, source, None, probe, error.message)
        if tool is None:
            return Listed(name, source, None, probe, "The source no longer has this tool.")
        changed = tool.fingerprint() != self.fingerprints[source][name]
        return Listed(
            name, source, self._marked(tool), probe, "Changed since it was added; add it again." if changed else ""
        )

    def save(self) -> None:
        """Write the file."""
        content: dict[str, Any] = {
            "version": _VERSION,
            "sources": self.fingerprints,
            "writes": sorted(self.writes),
            "probes": {name: asdict(result) for name, result in self.probes.items()},
        }
        write_atomically(self.path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())

    def _marked(self, tool: Tool) -> Tool:
        if tool.name not in self.writes or tool.writes:
            return tool
        return Tool(tool.name, tool.description, tool.parameters, tool.call, tool.result, True, tool.file)

    def _tools(self, source: str) -> list[Tool]:
        if source not in self._opened:
            if source.startswith(_MCP):
                from ragkit.agents.mcp_client import tools_from_mcp

                self._opened[source] = self._stack.enter_context(tools_from_mcp(source.removeprefix(_MCP))).tools
            elif source.startswith(("http://", "https://")) or source.lower().endswith(_OPENAPI):
                from ragkit.agents.openapi import tools_from_openapi

                self._opened[source] = tools_from_openapi(source)
            else:
                from ragkit.agents.sources import tools_from_file

                self._opened[source] = tools_from_file(source)
        return self._opened[source]


def _absolute(source: str) -> str:
    if source.startswith((_MCP, "http://", "https://")):
        return source
    return str(Path(source).expanduser().resolve())
