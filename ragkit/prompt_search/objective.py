"""An objective that scores a model's replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ragkit.errors import ExamplePoolError, PromptOverflowError, SettingsError
from ragkit.examples.pool import normal
from ragkit.models import ChatModel, GenerationOptions, ScoringModel, complete
from ragkit.prompt_search.base import ExampleScore, PromptCandidate
from ragkit.prompting.shot_template import ShotTemplate
from ragkit.records import Example

Metric = Callable[[str, str], float]
"""Takes a reply and the expected one; returns a score, 0 to 1."""
_ONE_LINE = GenerationOptions(max_tokens=32, stop=("\n",))


def exact_match(reply: str, wanted: str) -> float:
    """Return 1.0 if both are equal except for case, Unicode form, white space and a final full stop, else 0.0."""
    return float(normal(reply).rstrip(".") == normal(wanted).rstrip("."))


class ModelObjective:
    """Prompts a model with the candidate and scores its reply against the example's output.

    The prompts of a candidate have a common prefix, which a local model evaluates once. A prompt that does not fit the
    model's window has the score 0.

    Args:
        model: the model that the prompt is for.
        template: template of examples and inputs, by default chat turns; the candidate's instruction replaces its own.
        metric: ``exact_match``, ``token_f1`` or a function that takes a reply and the expected one, and returns 0 to 1.
        options: generation options; by default greedy, one line of at most 32 tokens.
        labels: legal replies, among which the model chooses.

    Raises:
        SettingsError: if there are labels but the model can't choose, or a label is duplicated or empty.
    """

    def __init__(
        self,
        model: ChatModel,
        template: ShotTemplate | None = None,
        metric: Metric = exact_match,
        options: GenerationOptions = _ONE_LINE,
        labels: Sequence[str] = (),
    ) -> None:
        self._chooser = model if isinstance(model, ScoringModel) else None
        if labels and self._chooser is None:
            raise SettingsError(
                f"{model.name} can't choose among labels.",
                "Use a local model, such as open_model('smollm2'), or omit labels.",
            )
        if len(set(labels)) < len(labels) or not all(label.strip() for label in labels):
            raise SettingsError(f"Empty or duplicate labels: {sorted(labels)}.", "Pass each label once.")
        self.model = model
        self.template = template or ShotTemplate()
        self.metric = metric
        self.options = options
        self.labels = tuple(labels)

    @property
    def identity(self) -> str:
        """Everything that replies and scores depend on; the log of a search with another identity is rejected."""
        metric = getattr(self.metric, "__qualname__", type(self.metric).__qualname__)
        return f"{self.model.name}, {self.template}, {metric}, {self.options}, labels {self.labels}"

    def __call__(self, candidate: PromptCandidate, examples: Sequence[Example], /) -> list[ExampleScore]:
        """Return the score of each example.

        Raises:
            ExamplePoolError: if an example has no output, or one that is not a label.
            PromptError: if the template names a field that an example lacks.
            ModelError: if the model fails.
        """
        template = replace(self.template, instruction=candidate.instruction)
        return [self._outcome(template, candidate, example) for example in examples]

    def _outcome(self, template: ShotTemplate, candidate: PromptCandidate, example: Example) -> ExampleScore:
        if not example.output.strip() or (self.labels and example.output not in self.labels):
            raise ExamplePoolError(
                f"The output {example.output!r} of {example.input[:60]!r} is "
                + (f"not one of the labels: {', '.join(self.labels)}." if self.labels else "empty."),
                "Correct or remove the example.",
            )
        wanted = template.reply(example)
        messages = template.messages(candidate.shots, example.input, example.metadata)
        try:
            if self.labels and self._chooser is not None:
                replies = [template.reply(replace(example, output=label)) for label in self.labels]
                reply = replies[self._chooser.choose(messages, replies).number]
                score = float(reply == wanted)
            else:
                reply = complete(self.model, messages, self.options).text.strip()
                score = self.metric(reply, wanted)
        except PromptOverflowError as error:
            return ExampleScore(0.0, f"The prompt is too long for the model. {error.message}")
        if score >= 1:
            return ExampleScore(score, f"Right: {reply!r}.")
        return ExampleScore(score, f"Expected {wanted!r}, but the reply was {reply!r}.")
