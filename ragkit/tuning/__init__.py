"""Fine-tuning on examples: LoRA, classifier heads, embedders and reward models, used only if they measure better.

``tune_sft("support", read_records("train.jsonl"), held_out)`` creates a version of the adapter ``support``;
``open_model("tuned:support")`` opens the model with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.tuning.adapter_run import TuningReport
    from ragkit.tuning.data import TuningRecord, read_records, records_from_examples
    from ragkit.tuning.head import HeadClassifier
    from ragkit.tuning.raft import RaftOptions, RaftRow, raft_records
    from ragkit.tuning.sft import SftOptions, tune_sft

__all__ = [
    "HeadClassifier",
    "RaftOptions",
    "RaftRow",
    "SftOptions",
    "TuningRecord",
    "TuningReport",
    "raft_records",
    "read_records",
    "records_from_examples",
    "tune_sft",
]

_HOMES = {
    "HeadClassifier": "head",
    "RaftOptions": "raft",
    "RaftRow": "raft",
    "SftOptions": "sft",
    "TuningRecord": "data",
    "TuningReport": "adapter_run",
    "raft_records": "raft",
    "read_records": "data",
    "records_from_examples": "data",
    "tune_sft": "sft",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"ragkit.tuning has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"ragkit.tuning.{_HOMES[name]}"), name)
