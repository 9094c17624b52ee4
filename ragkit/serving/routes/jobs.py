"""Jobs: their events so far and as they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import APIRouter

from ragkit.serving.accepted import Accepted, left_over
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.failures import RequestError, log, not_found
from ragkit.serving.intake import Intake
from ragkit.serving.jobs import Job, Jobs
from ragkit.serving.people import Person, allows
from ragkit.serving.sse import EventStream, sse
from ragkit.serving.uploads import FOLDER, UploadLimits, Uploads

router = APIRouter(prefix="/api/jobs", tags=["documents"])


def jobs_of(ctx: Context) -> Jobs:
    """Create the job runner of a server; for ``ctx.part``."""
    return Jobs()


def intake_of(ctx: Context) -> Intake:
    """Create the intake of uploads of a server; for ``ctx.part``."""
    return Intake(Uploads(ctx.state / FOLDER, UploadLimits(whole_bytes=ctx.options.limits.upload)))


def resume_uploads(ctx: Context) -> None:
    """Add the uploads that an earlier server accepted and did not finish."""
    by_collection: dict[str, list[Accepted]] = {}
    for accepted in left_over(ctx.state / FOLDER):
        by_collection.setdefault(accepted.collection, []).append(accepted)
    for name, several in by_collection.items():
        ctx.part(jobs_of).start(name, several[0].person.id, partial(_take_left, ctx, several))


def _take_left(ctx: Context, several: list[Accepted], job: Job) -> None:
    for accepted in several:
        try:
            opened = ctx.collections.open(accepted.collection, accepted.person, "write")
            ctx.part(intake_of).take(opened, accepted, job.emit, ctx.ending)
        except RequestError as error:
            if ctx.ending.is_set():
                raise
            # Whoever sent it may no longer write there, or there is no such collection any more.
            log.warning("An upload to %s was dropped: %s", accepted.collection, error)
            accepted.done()


@router.get("/{job}")
def get_job(job: str, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Return all events of a job so far."""
    return _job(ctx, person, job).to_dict()


@router.get("/{job}/events", response_class=EventStream)
async def follow_job(job: str, ctx: Ctx, person: Who) -> EventStream:
    """Stream all events of a job as server-sent events.

    ``progress`` has stage, done and total; ``file`` has name, status, reason, hint and locked; ``done`` counts files by
    status; ``error`` has message and hint. The job continues after the client disconnects.
    """
    found = _job(ctx, person, job)

    async def events() -> AsyncIterator[bytes]:
        async for event in found.follow():
            if ctx.ending.is_set():
                return
            yield b":\n\n" if event is None else sse(*event)

    return EventStream(events())


def _job(ctx: Context, person: Person, identity: str) -> Job:
    """Return a job that a person began, or one of a collection that they administer."""
    found = ctx.part(jobs_of).get(identity)
    if found is not None:
        right = ctx.people.right(person, found.collection)
        if allows(right, "admin") or (found.person == person.id and allows(right, "read")):
            return found
    raise not_found("Unknown job", "Old jobs are deleted.")
