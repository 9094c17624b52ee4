"""The default verifier: rules find mismatches of claim and evidence, a small logistic model weighs them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.answering.support.alignment import WordSimilarity
from ragkit.answering.support.base import Support
from ragkit.answering.support.features import FEATURES, Comparison, compare
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

_EXCLUDED = 0.9
"""Share of the threshold that a claim reaches at most if it says another number, or mostly other words."""
_UNRELATED = 0.7
"""Distance in meaning, 0 to 1, from which a word of a claim has nothing near it in the evidence."""
_MISSING = 0.3
"""Share of a claim's words that are not in the evidence, from which such a word can't be ignored."""


class ComposedVerifier:
    """Judges by mismatches between claim and evidence: polarity, numbers, names, times, roles and words.

    It needs no model except the embedder, which compares the meaning of words, and takes about a millisecond per pair.
    The word lists are English; in other languages numbers, names and shared words still count.

    Example:
        >>> from ragkit.answering.support import ComposedVerifier
        >>> (support,) = ComposedVerifier().verify([("The box is open.", "The box is closed.")])
        >>> support.supported, support.is_contradicted
        (False, True)

    Args:
        embedder: compares words that no list knows as synonyms; without one they count as missing.
        weights: a JSON file of weights fitted on other data, as written by ``benchmarks/support.py --fit``; by default,
            the bundled weights.

    Raises:
        SettingsError: if the file does not contain such weights.
    """

    def __init__(self, embedder: Embedder | None = None, weights: Path | None = None) -> None:
        self._similarity = None if embedder is None else WordSimilarity(embedder)
        self._entailed, self._contradicted, self._threshold = _load(weights)

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[Support]:
        """Return one verdict per pair of (sentence, evidence), in order."""
        return [self._judge(claim, evidence) for claim, evidence in pairs]

    def _judge(self, claim: str, evidence: str) -> Support:
        found = compare(claim, evidence, self._similarity)
        entailed = _probability(self._entailed, found.values)
        if _is_excluded(found):
            # No weight makes up for these.
            entailed = min(entailed, _EXCLUDED * self._threshold)
        contradicted = min(_probability(self._contradicted, found.values), 1.0 - entailed)
        return Support(entailed, contradicted, self._threshold, found.reasons)


def _is_excluded(found: Comparison) -> bool:
    """Return whether a claim has another number than its evidence, or much of it that is not in the evidence."""
    values = dict(zip(FEATURES, found.values, strict=True))
    other_number = values["number_replaced"] >= 1 or values["number_missing"] >= 1
    return other_number or (values["worst_uncovered"] >= _UNRELATED and values["uncovered_share"] >= _MISSING)


def _probability(weights: Sequence[float], values: Sequence[float]) -> float:
    logit = weights[-1] + sum(weight * value for weight, value in zip(weights, values, strict=False))
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, logit))))


def _load(path: Path | None) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Return the weights of both functions, each with its intercept last, and the threshold."""
    try:
        text = (
            (files("ragkit.answering.support") / "data" / "weights.json").read_text("utf-8")
            if path is None
            else path.read_text("utf-8")
        )
        record = json.loads(text)
        return _row(record["entailed"]), _row(record["contradicted"]), float(record["threshold"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} does not contain the weights of a support verifier: {error}.",
            "Write the file with `python benchmarks/support.py --fit FILE`, or leave weights out.",
        ) from error


def _row(weights: Mapping[str, float]) -> tuple[float, ...]:
    return (*(float(weights[name]) for name in FEATURES), float(weights["intercept"]))
