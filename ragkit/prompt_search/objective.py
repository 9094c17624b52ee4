"""An objective that asks a model and compares its replies."""

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
"""The reply and the wanted one to 0 to 1."""
_ONE_LINE = GenerationOptions(max_tokens=32, stop=("\n",))


def exact_match(reply: str, wanted: str) -> float:
    """Return 1.0 where both are the same, case, form, white space and a full stop at the end aside; else 0.0."""
    return float(normal(reply).rstrip(".") == normal(wanted).rstrip("."))


class ModelObjective:
    """Asks a model with the candidate and compares its reply with the example's output.

    All items of a candidate share the beginning of their prompt, which a local model evaluates once. A prompt that
    does not fit the model's window scores 0.

    Args:
        model: that the prompt is for.
        template: how examples and inputs are shown, by default as turns of a chat; the candidate's instruction takes
            the place of its own.
        metric: ``exact_match``, ``token_f1`` or any function of the reply and the wanted one to 0 to 1.
        options: how replies are made; by default the likeliest, one line of at most 32 tokens.
        labels: the only legal replies: the model chooses among them and nothing else can come out.

    Raises:
        SettingsError: if there are labels and the model can't choose, or a label is given twice or is empty.
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
                "Use a local model, such as open_model('smollm2'), or leave labels out.",
            )
        if len(set(labels)) < len(labels) or not all(label.strip() for label in labels):
            raise SettingsError(f"Labels are empty or given twice: {sorted(labels)}.", "Give each label once.")
        self.model = model
        self.template = template or ShotTemplate()
        self.metric = metric
        self.options = options
        self.labels = tuple(labels)

    @property
    def identity(self) -> str:
        """What replies and scores depend on; a log of a search with another one is not gone on with."""
        metric = getattr(self.metric, "__qualname__", type(self.metric).__qualname__)
        return f"{self.model.name}, {self.template}, {metric}, {self.options}, labels {self.labels}"

    def __call__(self, candidate: PromptCandidate, examples: Sequence[Example], /) -> list[ExampleScore]:
        """Return an outcome for each example.

        Raises:
            ExamplePoolError: if an example has no output, or one that is none of the labels.
            PromptError: if the template names a field that an example lacks.
            ModelError: if the model fails.
        """
        template = replace(self.template, instruction=candidate.instruction)
        return [self._outcome(template, candidate, example) for example in examples]

    def _outcome(self, template: ShotTemplate, candidate: PromptCandidate, example: Example) -> ExampleScore:
        if not example.output.strip() or (self.labels and example.output not in self.labels):
            raise ExamplePoolError(
                f"The output {example.output!r} of {example.input[:60]!r} is "
                + (f"none of the labels: {', '.join(self.labels)}." if self.labels else "empty."),
                "Mend the example or leave it out.",
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
