"""The server's app: its routes, the format of errors, and common settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pkgutil import iter_modules

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ragkit import __version__
from ragkit.errors import RagkitError
from ragkit.serving import routes
from ragkit.serving.context import Context, ServeOptions
from ragkit.serving.failures import RequestError, error_body, log_error, status_of, to_error_body
from ragkit.serving.routes.generation import row_generation
from ragkit.serving.routes.jobs import resume_uploads
from ragkit.serving.security import Gate
from ragkit.serving.tracing import Tracing

_ABOUT = """Answers with exact citations from collections of documents: ragkit's own routes under /api, OpenAI's
under /v1.

Where a token is needed, send it as `Authorization: Bearer TOKEN`. Every error is
`{"error": {"message", "hint", "type", "code", "param"}}`."""


def make_app(options: ServeOptions) -> FastAPI:
    """Create the app of a server.

    Raises:
        SettingsError: see ``Context``.
    """
    ctx = Context(options)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        resume_uploads(ctx)
        ctx.part(row_generation).resume()
        yield
        ctx.close()

    app = FastAPI(
        title="ragkit",
        version=__version__,
        description=_ABOUT,
        lifespan=life,
        # FastAPI's own pages load scripts from elsewhere; ours is in routes/health.py.
        docs_url=None,
        redoc_url=None,
        # FastAPI's own spans have the addresses with their queries, and its logs the values that were sent.
        telemetry={"tracing": False, "logs": False},
    )
    app.state.context = ctx
    # Every module in routes/ holds one router.
    for module in sorted(found.name for found in iter_modules(routes.__path__)):
        app.include_router(import_module(f"{routes.__name__}.{module}").router)
    app.add_exception_handler(RagkitError, _ragkit_error)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(UnicodeEncodeError, _no_text)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(options.proxies))
    app.add_middleware(Tracing)
    app.add_middleware(Gate, ctx=ctx)
    return app


def _ragkit_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RagkitError)
    status = status_of(error)
    log_error(error, f"{request.method} {_route(request)}")
    headers = error.headers if isinstance(error, RequestError) else {}
    return JSONResponse(to_error_body(error), status, headers)


def _wrong_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    # Only where and what: the value itself may be anything.
    place = ".".join(str(part) for part in first["loc"])
    return JSONResponse(error_body(f"{place}: {first['msg']}", "See /docs.", "invalid_request_error", "invalid"), 422)


def _no_text(request: Request, error: Exception) -> JSONResponse:
    # JSON can hold halves of surrogate pairs, which neither SQLite nor a response can.
    said = error_body("The request contains invalid Unicode.", "Send Unicode.", "invalid_request_error", "invalid")
    return JSONResponse(said, 422)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    said, hint, code = str(error.detail), "See /docs.", "http_error"
    if error.status_code == 404 and request.url.path.startswith("/v1/"):
        # Clients of OpenAI's API try routes that ragkit has no use for.
        said, code = f"Unknown route {request.method} {request.url.path}.", "unknown_route"
        hint = "Use /v1/chat/completions or /v1/responses for answers, /v1/embeddings, or /v1/models."
    body = error_body(said, hint, kind, code)
    return JSONResponse(body, error.status_code, error.headers)


def _route(request: Request) -> str:
    return getattr(request.scope.get("route"), "path", "other")
