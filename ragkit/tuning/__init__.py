"""Fine-tuning on examples: LoRA, classifier heads, embedders and reward models, used only if they measure better.

``tune_sft("support", read_records("train.jsonl"), held_out)`` creates a version of the adapter ``support``;
``open_model("tuned:support")`` opens the model with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit._lazy import lazy_names
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
    "BestOfN": "ragkit.tuning.rewards.best_of_n",
    "DpoOptions": "ragkit.tuning.lora.dpo",
    "GrpoOptions": "ragkit.tuning.lora.grpo",
    "HeadClassifier": "ragkit.tuning.heads.classifier",
    "HeadOptions": "ragkit.tuning.heads.fit",
    "RaftOptions": "ragkit.tuning.raft",
    "RaftRow": "ragkit.tuning.raft",
    "Ranking": "ragkit.tuning.rewards.rankings",
    "RewardOptions": "ragkit.tuning.rewards.tuning",
    "SftOptions": "ragkit.tuning.lora.sft",
    "TuningRecord": "ragkit.tuning.data",
    "TuningReport": "ragkit.tuning.lora.adapter_run",
    "fit_head": "ragkit.tuning.heads.fit",
    "open_reward": "ragkit.tuning.rewards.tuning",
    "raft_records": "ragkit.tuning.raft",
    "read_rankings": "ragkit.tuning.rewards.rankings",
    "read_records": "ragkit.tuning.data",
    "records_from_examples": "ragkit.tuning.data",
    "rejection_samples": "ragkit.tuning.rewards.best_of_n",
    "split_rankings": "ragkit.tuning.rewards.rankings",
    "split_records": "ragkit.tuning.data",
    "tune_dpo": "ragkit.tuning.lora.dpo",
    "tune_grpo": "ragkit.tuning.lora.grpo",
    "tune_on_classes": "ragkit.tuning.embedders.tuning",
    "tune_on_pairs": "ragkit.tuning.embedders.tuning",
    "tune_reward": "ragkit.tuning.rewards.tuning",
    "tune_sft": "ragkit.tuning.lora.sft",
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
__getattr__ = lazy_names("ragkit.tuning", _HOMES)
