"""Builds the prompt of a task: instruction, selected examples that fit the window, and input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ragkit.errors import PromptOverflowError, QueryError, SettingsError
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions, Shot, TokenBudget
from ragkit.models import ChatModel
from ragkit.prompting import ShotTemplate
from ragkit.records import Example, Message


@dataclass(frozen=True, slots=True)
class ShotSetting:
    """Selection, number, order and template of the examples in a prompt."""

    selector: SelectorOptions = field(default_factory=lambda: SelectorOptions(exclude_self=False))
    """Selector options. Except in the trials of a fit, an input that is in the pool gets its own example too."""
    k: int = 4
    """Number of examples; 0 for none."""
    template: ShotTemplate = field(default_factory=ShotTemplate)

    def __post_init__(self) -> None:
        if self.k < 0:
            raise SettingsError(f"k must be >= 0, got {self.k}.", "Pass the number of examples to show.")


def usual_settings(instruction: str) -> list[ShotSetting]:
    """Return common settings, the simplest first."""
    turns, lines = ShotTemplate(instruction), ShotTemplate(instruction, style="lines")
    return [
        ShotSetting(k=4, template=turns),
        ShotSetting(k=4, template=lines),
        ShotSetting(k=8, template=turns),
        ShotSetting(k=8, template=lines),
        ShotSetting(SelectorOptions(by="hybrid", exclude_self=False), 4, turns),
        ShotSetting(SelectorOptions(choice="keyword_coverage", exclude_self=False), 8, turns),
        ShotSetting(SelectorOptions(choice="mmr", exclude_self=False), 4, turns),
        ShotSetting(SelectorOptions(order="best_first", exclude_self=False), 4, turns),
    ]


@dataclass(frozen=True, slots=True)
class ShotPrompt:
    """A prompt and its examples."""

    shots: tuple[Shot, ...]
    messages: tuple[Message, ...]


class ShotPrompts:
    """Builds the prompts of a task under one setting.

    Args:
        pool: pool of the examples.
        model: the model whose window the prompts have to fit.
        setting: the setting.
        reply_tokens: tokens reserved for the reply.
    """

    def __init__(self, pool: ExamplePool, model: ChatModel, setting: ShotSetting, reply_tokens: int) -> None:
        self._model = model
        self._setting = setting
        self._left = model.window - reply_tokens
        self._selector = DynamicSelector(pool, setting.selector)

    def prompt(self, text: str) -> ShotPrompt:
        """Return the prompt for an input, with as many examples as fit the window.

        Raises:
            QueryError: if the input is empty.
            PromptOverflowError: if the input alone does not fit.
        """
        if not text.strip():
            raise QueryError("The input is empty.", "Pass a text.")
        k = self._setting.k
        shots = self._selector.select(text, k) if k else []
        if shots and self._tokens(shots, text) > self._left:
            shots = self._fitting(text, k)
        if not shots and self._tokens([], text) > self._left:
            raise PromptOverflowError(
                f"The input of {len(text):,} characters takes {self._tokens([], text):,} tokens with the instruction; "
                f"the window of {self._model.name} has {self._left:,} without the reply.",
                "Pass a shorter input, or use a model with a longer window.",
            )
        return ShotPrompt(tuple(shots), tuple(self._messages(shots, text)))

    def _fitting(self, text: str, k: int) -> list[Shot]:
        alone = self._tokens([], text)
        if alone >= self._left:
            return []
        budget = TokenBudget(self._left - alone, lambda example: self._counted([example], text) - alone)
        shots = self._selector.select(text, k, budget)
        # Tokens at the borders of examples can differ from those of each example alone.
        while shots and self._tokens(shots, text) > self._left:
            shots.remove(min(shots, key=lambda shot: shot.score))
        return shots

    def _tokens(self, shots: Sequence[Shot], text: str) -> int:
        return self._counted([shot.example for shot in shots], text)

    def _counted(self, shots: Sequence[Example], text: str) -> int:
        return self._model.count_tokens(self._setting.template.messages(shots, text))

    def _messages(self, shots: Sequence[Shot], text: str) -> list[Message]:
        return self._setting.template.messages([shot.example for shot in shots], text)


def guarded(setting: ShotSetting) -> ShotSetting:
    """Return a setting that excludes an input's own example, for trials on examples of the pool."""
    return replace(setting, selector=replace(setting.selector, exclude_self=True))
