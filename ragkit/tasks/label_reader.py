"""Scores labels with a model; the result is always one of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ragkit.errors import SettingsError
from ragkit.models import ChatModel, GenerationOptions, ScoringModel, complete
from ragkit.prompting import ShotTemplate
from ragkit.records import Example, Message
from ragkit.tasks.calibration import Scores

_TRUSTED = 0.8
"""Assumed probability of the reply of a model without log-probabilities."""


class LabelReader:
    """Scores labels with a model.

    Args:
        model: the model. If it has no log-probabilities, it generates a reply, which counts if it is a label.
        template: template of examples and input.
        names: names of the labels in prompts.
    """

    def __init__(self, model: ChatModel, template: ShotTemplate, names: Mapping[str, str]) -> None:
        self.model = model
        self._template = template
        self._names = names

    def prompt(self, shots: Sequence[Example], text: str) -> list[Message]:
        """Return the messages of the prompt."""
        shown = [replace(shot, output=self._names.get(shot.output, shot.output)) for shot in shots]
        return self._template.messages(shown, text)

    def channel_prompt(self, shots: Sequence[Example], label: str) -> list[Message]:
        """Return the messages of the channel direction: they ask for an input of the label, after other such inputs."""
        template = replace(self._template, instruction="", input_form="{input}", output_form="{output}")
        name = self._names[label]
        return template.messages([Example(name, shot.input) for shot in shots], name)

    def likelihoods(self, text: str, prompts: Sequence[Sequence[Message]]) -> Scores:
        """Return the log-probability of an input after each label's prompt, float64 ``[labels]``.

        Raises:
            SettingsError: if the model has no log-probabilities.
            PromptOverflowError: if prompt and input do not fit the model's window.
        """
        if not isinstance(self.model, ScoringModel):
            raise SettingsError(
                f"{self.model.name} does not return log-probabilities of texts.",
                'Use direction="direct", or a local model.',
            )
        return np.array([sum(self.model.score(messages, [text], whole=True)[0]) for messages in prompts])

    def scores(self, messages: Sequence[Message], labels: Sequence[str]) -> Scores:
        """Return the log-probability of each label as the complete reply, float64 ``[labels]``.

        The labels are scored as a tree of tokens, so that shared prefixes are evaluated once.

        Raises:
            PromptOverflowError: if prompt and label do not fit the model's window.
        """
        replies = [self._template.reply(Example("", self._names[label])) for label in labels]
        if isinstance(self.model, ScoringModel):
            return np.array([sum(logprobs) for logprobs in self.model.score(messages, replies, whole=True)])
        said = complete(self.model, messages, GenerationOptions(max_tokens=32, stop=("\n",))).text
        known = [_normalized(reply) == _normalized(said) for reply in replies]
        right = _TRUSTED if any(known) and len(labels) > 1 else 1.0 / len(labels)
        rest = (1.0 - right) / max(len(labels) - 1, 1) if any(known) else right
        return np.log([right if one else max(rest, 1e-9) for one in known])


def _normalized(text: str) -> str:
    return " ".join(text.casefold().strip(" .\"'`").split())
