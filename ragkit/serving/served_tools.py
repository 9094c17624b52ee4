"""The tools of a server: opened once, and offered by the permission of the person who asks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ragkit.agents.tool_file import ToolFile
from ragkit.agents.toolbox import ToolBox
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit.serving.collections import Collection
    from ragkit.serving.context import Context

log = logging.getLogger(__name__)


class ServedTools:
    """The tools that the answer mode ``agent`` offers.

    Tools in quarantine and tools that changed since they were added are not offered, but logged.

    Args:
        ctx: context of the server, which has a collection of tools.

    Raises:
        ToolError: if the collection can't be read.
        SettingsError: if it has no tool to offer.
    """

    def __init__(self, ctx: Context) -> None:
        assert ctx.options.tools is not None
        self._file = ToolFile.open(ctx.options.tools)
        try:
            listed = self._file.listed()
            for item in listed:
                if not item.offered:
                    reason = item.problem or (item.probe.reason if item.probe is not None else "")
                    log.warning("Tool %s is not offered: %s", item.name, reason)
            tools = [item.tool for item in listed if item.offered and item.tool is not None]
            if not tools:
                raise SettingsError(
                    f"{ctx.options.tools} has no tool to offer.", "See why: ragkit tools list, or add tools."
                )
        except BaseException:
            self._file.close()
            raise
        embedder = ctx.collections.embedder()
        self.all = ToolBox(tools, embedder=embedder)
        self._reading = ToolBox([tool for tool in tools if not tool.writes], embedder=embedder)

    def offered(self, collection: Collection) -> ToolBox:
        """Return the tools for a person: those that write only with permission to write to the collection."""
        return self._reading if collection.right == "read" else self.all

    def close(self) -> None:
        """Close the indexes of tools and the connections to MCP servers."""
        self.all.close()
        self._reading.close()
        self._file.close()
