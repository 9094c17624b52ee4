"""Fine-tuning on examples: LoRA, classifier heads, embedders and reward models, used only if they measure better.

``tune_sft("support", read_records("train.jsonl"), held_out)`` creates a version of the adapter ``support``;
``open_model("tuned:support")`` opens the model with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ragkit._telemetry import disable_telemetry

if TYPE_CHECKING:
    from ragkit.tuning.data import TuningRecord, read_records, records_from_examples, split_records
    from ragkit.tuning.embedders.tuning import tune_on_classes, tune_on_pairs
    from ragkit.tuning.heads.classifier import HeadClassifier
    from ragkit.tuning.heads.fit import HeadOptions, fit_head
    from ragkit.tuning.lora.adapter_run import TuningReport
    from ragkit.tuning.lora.dpo import DpoOptions, tune_dpo
    from ragkit.tuning.lora.grpo import GrpoOptions, tune_grpo
    from ragkit.tuning.lora.sft import SftOptions, tune_sft
    from ragkit.tuning.raft import RaftOptions, RaftRow, raft_records
    from ragkit.tuning.rewards.best_of_n import BestOfN, rejection_samples
    from ragkit.tuning.rewards.rankings import Ranking, read_rankings, split_rankings
    from ragkit.tuning.rewards.tuning import RewardOptions, open_reward, tune_reward

_HOMES = {
    "BestOfN": "rewards.best_of_n",
    "DpoOptions": "lora.dpo",
    "GrpoOptions": "lora.grpo",
    "HeadClassifier": "heads.classifier",
    "HeadOptions": "heads.fit",
    "RaftOptions": "raft",
    "RaftRow": "raft",
    "Ranking": "rewards.rankings",
    "RewardOptions": "rewards.tuning",
    "SftOptions": "lora.sft",
    "TuningRecord": "data",
    "TuningReport": "lora.adapter_run",
    "fit_head": "heads.fit",
    "open_reward": "rewards.tuning",
    "raft_records": "raft",
    "read_rankings": "rewards.rankings",
    "read_records": "data",
    "records_from_examples": "data",
    "rejection_samples": "rewards.best_of_n",
    "split_rankings": "rewards.rankings",
    "split_records": "data",
    "tune_dpo": "lora.dpo",
    "tune_grpo": "lora.grpo",
    "tune_on_classes": "embedders.tuning",
    "tune_on_pairs": "embedders.tuning",
    "tune_reward": "rewards.tuning",
    "tune_sft": "lora.sft",
}

__all__ = [
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

# trl reports each training run to the Hugging Face Hub otherwise.
disable_telemetry()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"ragkit.tuning has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"ragkit.tuning.{_HOMES[name]}"), name)
