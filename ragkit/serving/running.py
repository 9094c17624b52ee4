"""Runs a server: its socket, its shutdown, and its log."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn

from ragkit.errors import SettingsError
from ragkit.serving.app import make_app
from ragkit.serving.context import Context, ServeOptions

_GRACE = 2
"""Seconds that streams have to end at shutdown."""


class Server:
    """A server that is ready to run: its port is bound, and its state is open.

    Args:
        options: options of the server; port 0 uses any free port.

    Raises:
        SettingsError: if the port is in use or the address does not belong to this machine; see also ``Context``.
    """

    def __init__(self, options: ServeOptions) -> None:
        self._socket = listening(options.host, options.port)
        try:
            self.app = make_app(options)
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.url = f"http://{host}:{self.port}{options.prefix}/"
        config = uvicorn.Config(
            self.app,
            # Ours are the names of hosts that pass, and the log says nothing of what people ask.
            access_log=False,
            log_level=logging.WARNING,
            server_header=False,
            # The app does it, with the proxies of the options.
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
            ws="none",
        )
        self._server = uvicorn.Server(config)

    @property
    def context(self) -> Context:
        """State of the server."""
        context: Context = self.app.state.context
        return context

    @property
    def started(self) -> bool:
        """Whether the server accepts requests."""
        return self._server.started

    def run(self, before: Callable[[], None] = lambda: None) -> None:
        """Serve until ``stop`` is called or, in the main thread, the process is interrupted.

        Args:
            before: called when the port is bound; clients that connect from then on are served.
        """
        before()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Stop the server and running work; can be called from any thread."""
        self.context.ending.set()
        self._server.should_exit = True


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        SettingsError: if the port is in use or the address does not belong to this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        made = socket.socket(family, kind)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"Invalid address {host}:{port}: {error}.", "Specify one such as --host 127.0.0.1."
        ) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(2048)
    except OSError as error:
        made.close()
        raise SettingsError(
            f"Failed to listen on {host}:{port}: {error.strerror}.",
            "Another server may use this port. Choose one with --port, or 0 for any free port.",
        ) from error
    return made
