"""Generation of rows for review: one run per collection, taking turns with people's questions, resumed after a restart.

The files of a run are in a folder of the server's state: ``rows.jsonl``, ``rows.rejected.jsonl``, the ledger, and the
request. The ledger has all finished work, so that a run that is started again continues.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragkit._files import write_atomically
from ragkit._progress import Progress
from ragkit.datagen import Ledger, QuestionOptions, generate_questions
from ragkit.errors import RagkitError
from ragkit.serving.failures import RequestError, log, to_error_body
from ragkit.serving.jobs import Job, Jobs
from ragkit.serving.models import NONE
from ragkit.serving.people import Person
from ragkit.serving.reviewing import RowReviews

if TYPE_CHECKING:
    from ragkit.serving.collections import Collection
    from ragkit.serving.context import Context
    from ragkit.serving.turns import Line, Ticket

State = Literal["running", "done", "stopped", "failed"]
QUEUE = "rows"
"""Queue of the jobs, so that uploads to a collection do not wait for a run."""
_REQUEST = "request.json"
_LOOK = 0.2
"""Seconds between two looks at whether a waiting run is stopped."""


@dataclass(frozen=True, slots=True)
class RowRequest:
    """A run that a person started, and its state; it is on disk before the request is answered."""

    person: Person
    model: str
    number: int
    multi_hop: int = 0
    follow_ups: int = 0
    unanswerable: int = 0
    state: State = "running"
    delivered: int = 0
    note: str = ""
    """Why fewer rows were delivered than asked for, or why the run failed."""

    @property
    def options(self) -> QuestionOptions:
        """Options of the generation."""
        return QuestionOptions(
            number=self.number,
            multi_hop=self.multi_hop,
            follow_ups=self.follow_ups,
            unanswerable=self.unanswerable,
        )

    def view(self) -> dict[str, Any]:
        """Return it as a client sees it."""
        return {name: value for name, value in asdict(self).items() if name != "person"} | {"by": self.person.name}


class RowGeneration:
    """The runs of a server. Create it on the event loop.

    Args:
        ctx: context of the server.
        jobs: runs them.
        reviews: knows the files of each collection's rows.
    """

    def __init__(self, ctx: Context, jobs: Jobs, reviews: RowReviews) -> None:
        self._ctx = ctx
        self._jobs = jobs
        self._reviews = reviews
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, tuple[Job, threading.Event]] = {}
        """Job of each collection whose run has not ended, with its stop event."""
        self._lock = threading.Lock()

    def start(self, collection: Collection, request: RowRequest) -> Job:
        """Start a run, or continue the last one if it was stopped.

        Raises:
            RequestError: 404 for an unknown model, 409 without a model, if a run has not ended, or if the server was
                started with a file of rows for the collection.
        """
        name = collection.name
        request = replace(request, model=self._ctx.models.name(request.model or None))
        if request.model == NONE:
            raise _conflict("Generating rows requires a language model.", "Choose a model other than none.")
        if self._reviews.fixed(name):
            raise _conflict(
                "The rows of this collection are in a file that was specified when the server was started.",
                "Generate rows with ragkit data questions, or start the server without --rows.",
            )
        with self._lock:
            if name in self._running:
                raise _conflict("Rows are already being generated for this collection.", "Stop the run first.")
            self._write(name, request)
            return self._begin(name, collection, request)

    def stop(self, name: str) -> bool:
        """Stop the run of a collection after the questions in progress and keep its rows.

        Returns:
            False if no run is in progress.
        """
        with self._lock:
            found = self._running.get(name)
        if found is not None:
            found[1].set()
        return found is not None

    def view(self, name: str) -> dict[str, Any]:
        """Return the last run of a collection, and its job while it is running."""
        with self._lock:
            found, request = self._running.get(name), self._read(name)
        job = None if found is None else found[0].to_dict()
        return {
            "run": None if request is None else request.view(),
            "job": job and {key: job[key] for key in ("id", "state", "progress")},
            "stopping": found is not None and found[1].is_set(),
            "available": not self._reviews.fixed(name),
        }

    def resume(self) -> None:
        """Continue the runs that were interrupted by the end of an earlier server."""
        for name in self._ctx.collections.all_names():
            request = self._read(name)
            if request is None or request.state != "running" or self._reviews.fixed(name):
                continue
            try:
                collection = self._ctx.collections.open(name, request.person, "write")
                self._ctx.models.name(request.model)
            except RequestError as error:
                # Who started it may no longer write there, or the model is no longer available.
                log.warning("A run of generation for %s was dropped: %s", name, error)
                self._write(name, replace(request, state="failed", note=str(error)))
                continue
            with self._lock:
                self._begin(name, collection, request)

    def _begin(self, name: str, collection: Collection, request: RowRequest) -> Job:
        stopped, begun = threading.Event(), threading.Event()

        def work(job: Job) -> None:
            begun.wait()
            self._work(job, collection, request, stopped)

        job = self._jobs.start(name, request.person.id, work, queue=QUEUE)
        self._running[name] = job, stopped
        begun.set()
        return job

    def _work(self, job: Job, collection: Collection, request: RowRequest, stopped: threading.Event) -> None:
        name, ended = collection.name, replace(request, state="failed", note="See the server's log.")
        try:
            ended = self._run(job, collection, request, stopped)
            job.emit("done", {"delivered": ended.delivered})
        except RagkitError as error:
            told = to_error_body(error)["error"]
            ended = replace(ended, note=f"{told['message']} {told['hint']}".strip())
            raise
        finally:
            with self._lock:
                # What the end of the server interrupts continues at the next start.
                if not self._ctx.ending.is_set():
                    self._write(name, ended)
                del self._running[name]

    def _run(self, job: Job, collection: Collection, request: RowRequest, stopped: threading.Event) -> RowRequest:
        files = self._reviews.files(collection.name)

        def over() -> bool:
            return stopped.is_set() or self._ctx.ending.is_set()

        def progress(made: Progress) -> None:
            job.emit("progress", {"stage": made.stage, "done": made.done, "total": made.total})

        turn = _Turn(self._ctx.models.line(request.model), self._loop, over)

        def between() -> bool:
            collection.check("write")
            return not turn.pass_on()

        try:
            if between():
                return replace(request, state="stopped")
            model = self._ctx.models.open(request.model)
            assert model is not None, "a model named none was refused before"
            with Ledger(files.ledger) as ledger:
                report = generate_questions(
                    collection.index, model, ledger, request.options, progress=progress, stop=between
                )
        finally:
            turn.end()
        if self._ctx.ending.is_set():
            return request
        made = {row.id for row in (*report.rows, *report.rejected)}
        before = self._reviews.rows(collection.name)
        stay = [one.original for one in before if one.decided and one.original.id not in made]
        kept, rejected = (tuple(row for row in stay if row.kept is wanted) for wanted in (True, False))
        replace(report, rows=report.rows + kept, rejected=report.rejected + rejected).save(files.kept)
        state: State = "stopped" if stopped.is_set() else "done"
        return replace(request, state=state, delivered=report.delivered, note=report.shortfall)

    def _read(self, name: str) -> RowRequest | None:
        with suppress(OSError, ValueError, TypeError, KeyError):
            known = json.loads((self._folder(name) / _REQUEST).read_bytes())
            return RowRequest(**known | {"person": Person(**known["person"])})
        return None

    def _write(self, name: str, request: RowRequest) -> None:
        folder = self._folder(name)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / _REQUEST, json.dumps(asdict(request), ensure_ascii=False).encode())

    def _folder(self, name: str) -> Path:
        return self._reviews.folder / name


class _Turn:
    """A turn at a model, which is passed on to waiting requests between two steps of long work.

    Args:
        line: queue of the model; it is used on the event loop.
        loop: the event loop.
        over: returns whether the work is over.
    """

    def __init__(self, line: Line, loop: asyncio.AbstractEventLoop, over: Callable[[], bool]) -> None:
        self._line = line
        self._loop = loop
        self._over = over
        self._ticket: Ticket | None = None

    def pass_on(self) -> bool:
        """Let waiting requests go first, then wait for a turn; False if the work is over."""
        self.end()
        waiting = asyncio.run_coroutine_threadsafe(self._wait(), self._loop)
        while not self._over():
            with suppress(TimeoutError, CancelledError):
                waiting.result(_LOOK)
                return not self._over()
        waiting.cancel()
        return False

    def end(self) -> None:
        """Give up the turn."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._leave)

    async def _wait(self) -> None:
        ticket = self._line.join()
        try:
            while before := ticket.before:
                await ticket.moved(before)
        except BaseException:
            ticket.leave()
            raise
        if self._over():
            ticket.leave()
        else:
            self._ticket = ticket

    def _leave(self) -> None:
        if self._ticket is not None:
            self._ticket.leave()
            self._ticket = None


def _conflict(message: str, hint: str) -> RequestError:
    return RequestError(message, hint, status=409, code="conflict")
