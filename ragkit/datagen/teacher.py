"""A teacher model: it answers from the passages and copies the words that support its answer.

A grammar constrains local models to that form, because small ones ignore the instruction. Replies are recorded in a
ledger by their prompt, so that a changed passage is asked about again and nothing else is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ragkit.datagen.ledger import Ledger, digest
from ragkit.datagen.question_run import model_hash
from ragkit.models.base import ChatModel, Delta, GenerationOptions, complete
from ragkit.records import Message

STAGE: Final = "imitation"
"""Name of the stage in the ledger."""
INSTRUCTIONS: Final = (
    "Answer in one sentence. Then copy the words of the source that support it, exactly as they are written there, in "
    "double quotes, followed by the number of the source in brackets. The form of a reply: "
    'The pool is closed on Mondays. "closed on Mondays and holidays" [1]'
)
TEMPLATE: Final = f"imitation {digest(INSTRUCTIONS)[:8]}"


def quoting_grammar(abstention: str) -> str:
    """Return the grammar of replies: a sentence, a quote and the number of its source, or the abstention."""
    return (
        f'root ::= {json.dumps(abstention)} | claim ". \\"" quote "\\" [" [1-9] "]"\n'
        'claim ::= ([^".\\n\\x5B] | [.] [0-9]){8,240}\n'
        'quote ::= [^"\\n]{8,300}\n'
    )


class Teacher:
    """A chat model that is constrained to the form of ``INSTRUCTIONS`` and whose replies are recorded.

    Args:
        model: model that answers.
        abstention: reply if the sources have no answer.
        ledger: ledger of replies; None to record nothing.
    """

    def __init__(self, model: ChatModel, abstention: str, ledger: Ledger | None = None) -> None:
        self.name, self.window = model.name, model.window
        self.parameters: int | None = getattr(model, "parameters", None)
        self.calls = 0
        """Number of calls that were not in the ledger."""
        self._model, self._ledger = model, ledger
        self._grammar = quoting_grammar(abstention)
        self._identity = (model.name, model_hash(model))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the number of tokens of the prompt."""
        return self._model.count_tokens(messages)

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the complete reply in one piece."""
        if self._ledger is None:
            yield from self._model.stream(messages, replace(options, grammar=self._grammar))
            return

        def work() -> list[str]:
            self.calls += 1
            made = complete(self._model, messages, replace(options, grammar=self._grammar))
            return [made.text, made.finish]

        configuration = self._configuration(options.max_tokens)
        text, finish = self._ledger.result(_item(messages), STAGE, configuration, work)
        yield Delta(text, None, finish)

    def is_recorded(self, messages: Sequence[Message], max_tokens: int) -> bool:
        """Return whether the reply to a prompt is in the ledger."""
        ledger, configuration = self._ledger, self._configuration(max_tokens)
        return ledger is not None and ledger.find(_item(messages), STAGE, configuration) is not None

    def _configuration(self, max_tokens: int) -> str:
        return digest(*self._identity, self._grammar, max_tokens)


def _item(messages: Sequence[Message]) -> str:
    return digest([[message.role, message.content] for message in messages])
