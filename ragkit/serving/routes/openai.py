"""OpenAI's models and embeddings: each collection is a chat model and an embedding model."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.failures import RequestError
from ragkit.serving.openai import Extension, no_model, opened
from ragkit.serving.sse import unless_gone

router = APIRouter(prefix="/v1", tags=["OpenAI's"])
_AT_ONCE = 32
"""Texts that are embedded between two looks at whether they are still wanted."""


class EmbeddingsRequest(BaseModel):
    """Texts to embed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    model: Annotated[str, Field(max_length=1000)]
    """A collection: its embedding model is used."""
    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    ragkit: Extension = Extension()


@router.get("/models")
def list_models(ctx: Ctx, person: Who) -> dict[str, Any]:
    """List the models: each collection, with the default model or with another."""
    return {"object": "list", "data": [_model(name) for name in _ids(ctx, ctx.collections.titles(person).values())]}


@router.get("/models/{model:path}")
def model(model: str, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Return one of them."""
    titles = ctx.collections.titles(person)
    if model not in _ids(ctx, {*titles, *titles.values()}):
        raise no_model()
    return _model(model)


@router.post("/embeddings")
async def embeddings(request: Request, wanted: EmbeddingsRequest, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Embed texts with the embedding model of a collection."""
    texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    if not all(isinstance(text, str) and text for text in texts):
        raise RequestError(
            "The input must be non-empty strings, not tokens.",
            "Send strings. With LangChain, set check_embedding_ctx_length=False.",
        )
    strings = [str(text) for text in texts]
    collection = await asyncio.to_thread(opened, ctx, person, wanted.model)
    embedder = collection.index.embedder
    if wanted.dimensions not in (None, embedder.dimension):
        raise RequestError(f"The model's vectors have {embedder.dimension} dimensions.", "Omit dimensions.")
    max_tokens = embedder.window - embedder.tokenizer.specials
    data: list[dict[str, Any]] = []
    tokens = 0

    def embed(part: list[str]) -> list[Any]:
        nonlocal tokens
        for text in part:
            count = embedder.tokenizer.count(text)
            tokens += count
            if count > max_tokens and wanted.ragkit.kind == "document":
                raise RequestError(
                    f"A text has {count} tokens; the maximum is {max_tokens}.", "Shorten it, or send it as a query."
                )
        return list(collection.index.embedder.embed(part, wanted.ragkit.kind))

    async def all_of_them() -> None:
        for first in range(0, len(strings), _AT_ONCE):
            for vector in await asyncio.to_thread(embed, strings[first : first + _AT_ONCE]):
                as_text = wanted.encoding_format == "base64"
                value = base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_text else vector.tolist()
                data.append({"object": "embedding", "index": len(data), "embedding": value})

    await unless_gone(request, all_of_them())
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": wanted.model, "data": data, "usage": usage}


def _ids(ctx: Context, names: Iterable[str]) -> list[str]:
    return [name for c in names for name in (c, *(f"{c}/{model}" for model in ctx.models.choices))]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "ragkit"}
