"""Fine-tuning on examples: LoRA, classifier heads, embedders and reward models, used only if they measure better.

``tune_sft("support", read_records("train.jsonl"), held_out)`` creates a version of the adapter ``support``;
``open_model("tuned:support")`` opens the model with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.tuning.adapter_run import TuningReport
    from ragkit.tuning.advice import Advice, advise
    from ragkit.tuning.best_of_n import BestOfN, rejection_samples
    from ragkit.tuning.data import TuningRecord, read_records, records_from_examples, split_records
    from ragkit.tuning.dpo import DpoOptions, tune_dpo
    from ragkit.tuning.embedder import tune_on_classes, tune_on_pairs
    from ragkit.tuning.grpo import GrpoOptions, tune_grpo
    from ragkit.tuning.head import HeadClassifier
    from ragkit.tuning.head_fit import HeadOptions, fit_head
    from ragkit.tuning.raft import RaftOptions, RaftRow, raft_records
    from ragkit.tuning.rankings import Ranking, read_rankings, split_rankings
    from ragkit.tuning.reward import RewardOptions, open_reward, tune_reward
    from ragkit.tuning.sft import SftOptions, tune_sft

_HOMES = {
    "Advice": "advice",
    "BestOfN": "best_of_n",
    "DpoOptions": "dpo",
    "GrpoOptions": "grpo",
    "HeadClassifier": "head",
    "HeadOptions": "head_fit",
    "RaftOptions": "raft",
    "RaftRow": "raft",
    "Ranking": "rankings",
    "RewardOptions": "reward",
    "SftOptions": "sft",
    "TuningRecord": "data",
    "TuningReport": "adapter_run",
    "advise": "advice",
    "fit_head": "head_fit",
    "open_reward": "reward",
    "raft_records": "raft",
    "read_rankings": "rankings",
    "read_records": "data",
    "records_from_examples": "data",
    "rejection_samples": "best_of_n",
    "split_rankings": "rankings",
    "split_records": "data",
    "tune_dpo": "dpo",
    "tune_grpo": "grpo",
    "tune_on_classes": "embedder",
    "tune_on_pairs": "embedder",
    "tune_reward": "reward",
    "tune_sft": "sft",
}

__all__ = [
    "Advice",
    "BestOfN",
    "DpoOptions",
    "GrpoOptions",
    "HeadClassifier",
    "HeadOptions",
    "RaftOptions",
    "RaftRow",
    "Ranking",
    "RewardOptions",
    "SftOptions",
    "TuningRecord",
    "TuningReport",
    "advise",
    "fit_head",
    "open_reward",
    "raft_records",
    "read_rankings",
    "read_records",
    "records_from_examples",
    "rejection_samples",
    "split_rankings",
    "split_records",
    "tune_dpo",
    "tune_grpo",
    "tune_on_classes",
    "tune_on_pairs",
    "tune_reward",
    "tune_sft",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"ragkit.tuning has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"ragkit.tuning.{_HOMES[name]}"), name)
