"""The leaderboard of configurations, for the collections that the person may read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ragkit.feedback.standings import standings
from ragkit.serving.context import Ctx, Who
from ragkit.serving.feedback import configuration_view, feedback_log

router = APIRouter(prefix="/api", tags=["feedback"])


@router.get("/standings")
def all_standings(ctx: Ctx, person: Who, collection: str | None = None) -> dict[str, Any]:
    """Show wins, losses and thumbs of each configuration, and its win rate with Wilson's interval of 95 %."""
    if collection is None:
        names = set(ctx.collections.names(person))
    else:
        names = {ctx.collections.open(collection, person).name}
    events = [event for event in ctx.part(feedback_log).events() if event.collection in names]
    return {
        "configurations": [{**one.to_dict(), "config": configuration_view(one.config)} for one in standings(events)]
    }
