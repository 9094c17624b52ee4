"""Options of a classifier: chosen by a fit, and stored in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from ragkit.errors import SettingsError
from ragkit.tasks.calibration import Anchor, Calibration
from ragkit.tasks.shot_prompts import ShotSetting
from ragkit.tasks.votes import VoteOptions, Weights

Direction = Literal["direct", "channel"]
LLMMode = Literal["uncertain", "all", "none"]


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """Options of a classifier; ``Classifier.fit`` chooses most of them."""

    labels: tuple[str, ...] = ()
    """All labels; by default those of the examples."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of labels in prompts; by default the label with spaces for underscores."""
    setting: ShotSetting = field(default_factory=lambda: ShotSetting(k=8))
    """Selection, number, order and template of the examples in the prompt."""
    direction: Direction = "direct"
    """Direction of scoring: ``direct``, each label given the input; ``channel``, the input given ``k`` examples of a
    label (Min et al., *Noisy channel prompting*, arXiv:2108.04106)."""
    vote: VoteOptions = field(default_factory=VoteOptions)
    candidates: int = 8
    """Maximum number of labels that the model scores: the most likely without it, except negligible ones; 0 for all
    labels."""
    llm_mode: LLMMode = "uncertain"
    """Inputs for which the LLM is called: uncertain ones (see ``confidence``), all, or none."""
    confidence: float = 0.9
    """Probability of the best label from which the LLM is not called, 0 to 1."""
    calibration: Calibration = "none"
    """Calibration method for the model's label bias."""
    bias: Mapping[str, float] = field(default_factory=dict)
    """Mean log-probability of each label, for ``calibration="batch"``."""
    anchors: tuple[Anchor, ...] = ()
    """Labelled inputs, for ``calibration="knn"``."""
    weights: Weights = field(default_factory=Weights)
    model: str = "default"

    def __post_init__(self) -> None:
        legal_values = {"llm_mode": LLMMode, "direction": Direction, "calibration": Calibration}
        for name, kind in legal_values.items():
            legal = get_args(kind)
            if getattr(self, name) not in legal:
                raise SettingsError(f"Unknown {name} {getattr(self, name)!r}.", f"Legal values: {', '.join(legal)}.")
        if self.candidates < 0 or not 0 <= self.confidence <= 1:
            raise SettingsError(
                f"candidates must be >= 0 and confidence between 0 and 1, "
                f"got candidates={self.candidates} and confidence={self.confidence}.",
                "Pass a number of labels (0 for all), and a probability.",
            )
        shown = [self.name(label) for label in self.labels]
        twice = sorted({name for name in shown if shown.count(name) > 1})
        if twice:
            raise SettingsError(f"Two labels have the name {twice[0]!r}.", "Pass different names: names={...}.")

    def name(self, label: str) -> str:
        """Return the name of a label in prompts."""
        return self.names.get(label, label.replace("_", " "))
