"""Tools of MCP servers: a client whose connection stays open until it is closed."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from ragkit.agents.tool import Tool
from ragkit.errors import MissingExtraError, ToolError

_CONNECT = 60.0
"""Maximum seconds for starting a server and listing its tools."""


class McpTools:
    """The tools of an MCP server; a context manager, or call ``close``.

    Args:
        server: address of a server (``https://.../mcp``), or the command that starts one, such as
            ``ragkit mcp /home/me/docs``. The command gets few environment variables.
        timeout: maximum seconds of a call.
        env: environment variables of the command.

    Raises:
        MissingExtraError: if mcp is not installed.
        ToolError: if the server does not start, answer, or has no valid tools.
    """

    def __init__(self, server: str, *, timeout: float = 30.0, env: Mapping[str, str] | None = None) -> None:
        try:
            from anyio.from_thread import start_blocking_portal
            from mcp import Client, StdioServerParameters
        except ImportError as error:
            raise MissingExtraError(error.name or "mcp", "mcp", "to use tools of MCP servers") from error
        self.server = server
        self._timeout = timeout
        target: Any = server
        if urlsplit(server).scheme not in ("http", "https"):
            words = shlex.split(server)
            if not words:
                raise ToolError("The command of the MCP server is empty.", "Specify a command or an address.")
            target = StdioServerParameters(command=words[0], args=words[1:], env=dict(env or {}))
        self._portal_context = start_blocking_portal()
        self._portal = self._portal_context.__enter__()
        self._connection = _Connection(Client(target, read_timeout_seconds=timeout, cache=None))
        self._task: Any = None
        try:
            self._task, listed = self._portal.start_task(self._connection.serve)
            self.tools: list[Tool] = [self._tool(item) for item in listed]
        except BaseException as error:
            self.close()
            if isinstance(error, ToolError) or not isinstance(error, Exception):
                raise
            reason = str(_innermost(error)) or type(error).__name__
            raise ToolError(
                f"The MCP server {server!r} can't be used: {reason}.", "Check that the command or address is correct."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and the server if a command started it."""
        if self._task is not None:
            self._portal.call(self._connection.leave)
            self._task.exception()
            self._task = None
        self._portal_context.__exit__(None, None, None)

    def _tool(self, item: Any) -> Tool:
        hints = item.annotations
        # The hint is the server's claim; without it, a tool counts as writing.
        reads = bool(hints is not None and hints.read_only_hint)

        def call(arguments: Mapping[str, Any]) -> Any:
            return _value(self._portal.call(self._connection.call, item.name, dict(arguments), self._timeout))

        return Tool(
            item.name,
            item.description or item.title or item.name,
            item.input_schema,
            call,
            item.output_schema,
            not reads,
        )


def tools_from_mcp(server: str, *, timeout: float = 30.0, env: Mapping[str, str] | None = None) -> McpTools:
    """Connect to an MCP server; its tools are in ``tools`` until it is closed. The arguments are those of ``McpTools``.

    Raises:
        MissingExtraError: if mcp is not installed.
        ToolError: if the server does not start, answer, or has no valid tools.
    """
    return McpTools(server, timeout=timeout, env=env)


class _Connection:
    """A connection that lives in one task, as anyio requires."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._left: Any = None

    async def serve(self, *, task_status: Any) -> None:
        import anyio

        self._left = anyio.Event()
        # The connection lives inside the scope, so the deadline is lifted instead of leaving the scope.
        with anyio.fail_after(_CONNECT) as scope:
            async with self._client:
                listed: list[Any] = []
                cursor = None
                while True:
                    page = await self._client.list_tools(cursor=cursor)
                    listed += page.tools
                    cursor = page.next_cursor
                    if not cursor:
                        break
                scope.deadline = math.inf
                task_status.started(listed)
                await self._left.wait()

    async def leave(self) -> None:
        self._left.set()

    async def call(self, name: str, arguments: dict[str, Any], timeout: float) -> Any:
        import anyio

        with anyio.fail_after(timeout):
            return await self._client.call_tool(name, arguments)


def _value(result: Any) -> Any:
    """Return the result of a call as JSON value or text.

    Raises:
        ToolError: if the tool reports an error.
    """
    texts = [block.text for block in result.content if getattr(block, "text", None) is not None]
    if result.is_error:
        raise ToolError("\n".join(texts)[:2000] or "The tool failed.", "Check the arguments.")
    if result.structured_content is not None:
        return json.loads(json.dumps(result.structured_content))
    return "\n".join(texts)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
