"""Adapts an index to its documents: generates questions from them, then tunes what answers them, stage by stage.

Each stage is promoted only if it is significantly better on documents that were held out, and can be undone.
"""

from typing import TYPE_CHECKING

from ragkit._lazy import lazy_names

if TYPE_CHECKING:
    from ragkit.adaptation.changes import undo_adaptation
    from ragkit.adaptation.planning import AdaptOptions, AdaptPlan, plan_adaptation
    from ragkit.adaptation.report import AdaptReport, StageResult
    from ragkit.adaptation.run import adapt_index

__all__ = [
    "AdaptOptions",
    "AdaptPlan",
    "AdaptReport",
    "StageResult",
    "adapt_index",
    "plan_adaptation",
    "undo_adaptation",
]
__getattr__ = lazy_names(
    __name__,
    {
        "AdaptOptions": "ragkit.adaptation.planning",
        "AdaptPlan": "ragkit.adaptation.planning",
        "AdaptReport": "ragkit.adaptation.report",
        "StageResult": "ragkit.adaptation.report",
        "adapt_index": "ragkit.adaptation.run",
        "plan_adaptation": "ragkit.adaptation.planning",
        "undo_adaptation": "ragkit.adaptation.changes",
    },
)
