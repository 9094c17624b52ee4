"""Support: whether a source entails a sentence, contradicts it, or does neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Support:
    """The verdict on one sentence and one piece of evidence."""

    entailed: float
    """Probability, 0 to 1, that the evidence entails the sentence."""
    contradicted: float
    """Probability, 0 to 1, that the evidence contradicts it. The rest is the probability of neither."""
    threshold: float = 0.5
    """Minimum of ``entailed`` for a supported sentence."""
    reasons: tuple[str, ...] = ()
    """Each mismatch that was found, such as ``number: 12 is not in the evidence, which has 10``."""

    @property
    def supported(self) -> bool:
        """True if the sentence may be cited with this evidence."""
        return self.entailed >= self.threshold

    @property
    def is_contradicted(self) -> bool:
        """True if the evidence contradicts the sentence, instead of not mentioning it."""
        return not self.supported and self.contradicted > 1.0 - self.entailed - self.contradicted


@runtime_checkable
class SupportVerifier(Protocol):
    """Judges sentences by evidence. Anything with this one method can be passed as ``verifier``."""

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[Support]:
        """Return one verdict per pair of (sentence, evidence), in order.

        The evidence is a sentence of a source, or up to a few adjacent ones.
        """
        ...
