"""How a classifier works: what a fit finds, and what its folder keeps."""

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
    """How to classify; ``Classifier.fit`` finds most of it."""

    labels: tuple[str, ...] = ()
    """All there are; by default those of the examples."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the model is shown for a label; by default the label with spaces for underscores."""
    setting: ShotSetting = field(default_factory=lambda: ShotSetting(k=8))
    """Which examples the model is shown, how many, in which order and how."""
    direction: Direction = "direct"
    """What the model is asked for: ``direct``, a label for the input; ``channel``, how likely the input is among
    examples of each label (Min et al., *Noisy channel prompting*, arXiv:2108.04106), ``k`` of each."""
    vote: VoteOptions = field(default_factory=VoteOptions)
    candidates: int = 8
    """The labels that are likeliest without the model, among which it decides: at most so many, and of these only those
    that have a chance; 0 for all there are."""
    llm_mode: LLMMode = "uncertain"
    """Which inputs the LLM is called for: only uncertain ones (see ``confidence``), all, or none."""
    confidence: float = 0.9
    """Least probability of the best label at which the LLM is not called, 0 to 1."""
    calibration: Calibration = "none"
    """What the model's own leaning to some labels is corrected by."""
    bias: Mapping[str, float] = field(default_factory=dict)
    """Of ``calibration="batch"``: the labels' mean log-probabilities."""
    anchors: tuple[Anchor, ...] = ()
    """Of ``calibration="knn"``."""
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
            raise SettingsError(f"Two labels are shown as {twice[0]!r}.", "Give them different names: names={...}.")

    def name(self, label: str) -> str:
        """Return what the model is shown for a label."""
        return self.names.get(label, label.replace("_", " "))
