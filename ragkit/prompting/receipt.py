"""A prompt and its receipt: the content, origin and tokens of each section, and what was omitted and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from ragkit.prompting.sources import Source
from ragkit.records import Message

State = Literal["kept", "trimmed", "compressed", "left out"]
"""State of a part of a prompt."""


class Counter(Protocol):
    """Interface that a prompt needs from a model; every ``ChatModel`` has it."""

    @property
    def window(self) -> int:
        """Context window: maximum tokens of prompt and reply together."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the exact tokens of a prompt."""
        ...


@dataclass(frozen=True, slots=True)
class ReceiptSection:
    """One part of a prompt, or one that was left out."""

    name: str
    """``instructions``, ``caller's instructions``, ``shot 1``, ``history 1``, ``source 1``, ``question``."""
    text: str
    source: str
    """Origin of the section: a template, a document with its span, or the caller."""
    tokens: int
    """Number of tokens by the model's tokenizer, at its place in the prompt; 0 if it was left out."""
    state: State
    why: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Receipt of a prompt: its parts and their tokens."""

    sections: tuple[ReceiptSection, ...]
    tokens: int
    """Tokens of the prompt: exactly the sum of the sections."""
    window: int
    answer_tokens: int
    """Tokens reserved for the reply."""

    def render(self) -> str:
        """Return the receipt as a table for reading."""
        lines = [f"{'section':<14}{'tokens':>7}  {'state':<10} source"]
        for section in self.sections:
            why = f" ({section.why})" if section.why else ""
            lines.append(f"{section.name:<14}{section.tokens:>7}  {section.state:<10} {section.source}{why}")
        free = self.window - self.tokens - self.answer_tokens
        lines.append(f"{'prompt':<14}{self.tokens:>7}")
        lines.append(f"{'for the reply':<14}{self.answer_tokens:>7}")
        lines.append(f"{'unused':<14}{free:>7}  of a window of {self.window}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Messages ready to send, the sources they show, and the receipt."""

    messages: tuple[Message, ...]
    sources: tuple[Source, ...]
    """Sources as shown: those that were kept, trimmed ones as trimmed."""
    receipt: Receipt

    def _repr_html_(self) -> str:
        from ragkit.display import prompt_html

        return prompt_html(self)
