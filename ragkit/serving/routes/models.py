"""The available models and answer modes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ragkit.serving.asks import available_modes
from ragkit.serving.context import Ctx, Who

router = APIRouter(prefix="/api/models", tags=["models"])


@router.get("")
def list_models(ctx: Ctx, person: Who) -> dict[str, Any]:
    """List the available models and answer modes; ``none`` means no model."""
    choices = ctx.models.choices.values()
    return {
        "models": [{"name": one.name, "kind": one.kind, "default": one.default} for one in choices],
        "modes": list(available_modes(ctx)),
        "default_mode": ctx.options.mode,
    }
