"""The current person, and sessions of the page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from ragkit.serving.context import COOKIE, Ctx, Who, person_of
from ragkit.serving.failures import RequestError
from ragkit.serving.routes.jobs import intake_of

router = APIRouter(prefix="/api", tags=["people"])


class SessionRequest(BaseModel):
    """A token to stay logged in with."""

    token: str = Field(max_length=500)


@router.get("/me")
def me(ctx: Ctx, person: Who) -> dict[str, Any]:
    """Return the current person, their permission for each collection, and the limits of questions and uploads."""
    rights = {name: ctx.people.right(person, name) for name in ctx.collections.names(person)}
    uploads = ctx.part(intake_of).uploads.limits
    limits = {
        "question": ctx.options.limits.question,
        "files": uploads.files,
        "file_bytes": uploads.file_bytes,
        "upload_bytes": uploads.whole_bytes,
    }
    return {"name": person.name, "open": ctx.people.open, "owner": person.owner, "rights": rights, "limits": limits}


@router.post("/session")
async def log_in(request: Request, response: Response, wanted: SessionRequest, ctx: Ctx) -> dict[str, Any]:
    """Log in with a token; from then on, it is in a cookie that scripts can't read."""
    person = person_of(request, wanted.token)
    if person is None:
        ctx.rates.count(f"stranger {request.client.host if request.client else ''}")
        raise RequestError(
            "Invalid token.", "Ask the server's owner for a new one.", status=401, code="invalid_api_key"
        )
    public = ctx.options.public
    response.set_cookie(
        COOKIE,
        wanted.token,
        max_age=30 * 86_400,
        # No path: the browser takes the folder of this route, under whichever path a proxy serves it, and sends the
        # cookie to no other application on this host.
        path=None,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https" or (public is not None and public.scheme == "https"),
    )
    return {"name": person.name, "owner": person.owner}


@router.delete("/session")
def log_out(response: Response) -> dict[str, bool]:
    """Log out."""
    response.set_cookie(COOKIE, "", max_age=0, path=None, httponly=True, samesite="strict")
    return {"done": True}
