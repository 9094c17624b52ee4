"""Async answering: a synchronous stream runs in a thread, and its events arrive on the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator
from typing import TypeVar

from ragkit._tracing import carried

T = TypeVar("T")


async def stream_in_thread(start: Callable[[], Generator[T, None, None]]) -> AsyncIterator[T]:
    """Run a generator in a separate thread, and yield its items.

    If the consumer stops early or is cancelled, the generator is closed at its next item, in its thread.

    Args:
        start: returns the generator; called in the thread.

    Raises:
        Exception: any error that the generator raises.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[T] | BaseException | None] = asyncio.Queue()
    abandoned = threading.Event()

    def put(item: tuple[T] | BaseException | None) -> None:
        if not abandoned.is_set():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        try:
            items = start()
            try:
                for item in items:
                    if abandoned.is_set():
                        break
                    put((item,))
            finally:
                items.close()
        except BaseException as error:  # noqa: BLE001 - raised again where the event is awaited
            put(error)
        else:
            put(None)

    # A daemon thread: a model call that hangs must not keep the process from ending.
    threading.Thread(target=carried(work), name="ragkit-stream", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        abandoned.set()
