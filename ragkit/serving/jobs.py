"""Background jobs: they continue after the client disconnects, and their events can be read again."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from ragkit.serving.failures import RequestError, report

State = Literal["waiting", "running", "done", "failed"]
JobEvent = tuple[str, dict[str, Any]]
_KEPT = 200
"""Jobs that are remembered; those that ended longest ago are forgotten first."""
_LOOK = 0.05
"""Seconds between two looks for what is new."""
_SILENCE = 10.0
"""Seconds after which a sign of life is sent."""
_PROGRESS = 0.2
"""Seconds between two tellings of progress within a stage."""
_MOST_WAITING = 20
"""Jobs of a collection that wait."""


class Job:
    """A background job.

    Args:
        collection: collection that the job works on.
        person: id of the person who started it.
    """

    def __init__(self, collection: str, person: str) -> None:
        self.id = secrets.token_urlsafe(16)
        self.collection = collection
        self.person = person
        self.state: State = "waiting"
        self.events: list[JobEvent] = []
        """Events so far, in order; append-only."""
        self._progressed = 0.0

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.state in ("done", "failed")

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Add an event; progress events in quick succession are dropped, except the last."""
        if kind == "progress":
            now = time.monotonic()
            if now - self._progressed < _PROGRESS and data["done"] != data["total"] and data["stage"] != "files":
                return
            self._progressed = now
        self.events.append((kind, data))

    async def follow(self) -> AsyncIterator[JobEvent | None]:
        """Yield all events from the first to the last; None as a keep-alive."""
        after, silent = 0, time.monotonic()
        while True:
            ended = self.ended
            for event in self.events[after:]:
                after += 1
                yield event
                silent = time.monotonic()
            if ended:
                return
            if time.monotonic() - silent > _SILENCE:
                yield None
                silent = time.monotonic()
            await asyncio.sleep(_LOOK)

    def to_dict(self) -> dict[str, Any]:
        """Return everything at once."""
        of = {
            kind: [data for name, data in self.events if name == kind] for kind in ("progress", "file", "done", "error")
        }
        return {
            "id": self.id,
            "collection": self.collection,
            "state": self.state,
            "progress": of["progress"][-1] if of["progress"] else None,
            "files": of["file"],
            "result": of["done"][-1] if of["done"] else None,
            "error": of["error"][-1] if of["error"] else None,
        }


class Jobs:
    """Runs jobs: those of the same collection and queue one after another, all others concurrently."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._threads: dict[tuple[str, str], ThreadPoolExecutor] = {}
        self._starting = threading.Lock()

    def start(self, collection: str, person: str, work: Callable[[Job], None], *, queue: str = "") -> Job:
        """Start a job, at once or after the jobs before it.

        Args:
            collection: collection that the job works on.
            person: id of the person who starts it.
            work: runs in a thread; an error that it raises is the job's last event.
            queue: jobs of one collection and queue run one after another.

        Raises:
            RequestError: 429 if too many jobs wait.
        """
        job = Job(collection, person)
        line = collection, queue
        with self._starting:
            waiting = sum(other.state == "waiting" and other.collection == collection for other in self._jobs.values())
            if waiting >= _MOST_WAITING:
                raise RequestError(
                    "Too many uploads are queued for this collection.",
                    "Try again later.",
                    status=429,
                    code="rate_limit_exceeded",
                )
            self._jobs[job.id] = job
            for old in [other.id for other in self._jobs.values() if other.ended][: max(0, len(self._jobs) - _KEPT)]:
                del self._jobs[old]
            if line not in self._threads:
                self._threads[line] = ThreadPoolExecutor(1, "job")
            self._threads[line].submit(self._run, job, work)
        return job

    def get(self, identity: str) -> Job | None:
        """Return a job that is remembered."""
        return self._jobs.get(identity)

    def close(self) -> None:
        """Start no further jobs, and wait for the current file."""
        with self._starting:
            for thread in self._threads.values():
                thread.shutdown(cancel_futures=True)

    def _run(self, job: Job, work: Callable[[Job], None]) -> None:
        job.state = "running"
        try:
            work(job)
        except Exception as error:  # noqa: BLE001 - whoever follows the job gets it
            self._failed(job, report(error, "a job"))
        else:
            job.state = "done"

    def _failed(self, job: Job, body: dict[str, Any]) -> None:
        job.emit("error", {name: body["error"][name] for name in ("message", "hint")})
        job.state = "failed"
