"""A dozen cheap features of a text, in any language."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ragkit.chunking.sentences import sentence_spans
from ragkit.datagen.text_statistics import CharacterModel, WordOrder
from ragkit.retrieval.terms import words

_LINK = re.compile(r"https?://|www\.|\S+@\S+\.\w|\]\(|\.(?:com|org|net|html?)\b", re.IGNORECASE)
_BOILERPLATE = re.compile(
    r"cookie|all rights reserved|copyright|©|privacy policy|terms of (?:use|service)|subscribe|newsletter"
    r"|sign (?:in|up)|log ?in\b|click here|read more|share (?:this|on)|follow us|skip to|back to top"
    r"|powered by|advertisement"
    r"|alle rechte vorbehalten|impressum|datenschutz|tous droits réservés|mentions légales",
    re.IGNORECASE,
)
_END = re.compile(r"[.!?:;。！？…][\"'»”’)\]]*$")
FEATURES: Final = (
    "characters of usual text",
    "order of usual words",
    "sentence length",
    "distinct words",
    "digits",
    "symbols",
    "upper case",
    "links",
    "lines that end a sentence",
    "line length",
    "variance of line length",
    "boilerplate",
    "repeated lines",
    "length",
)
"""Names of the features, in order."""


def features(text: str, characters: CharacterModel, order: WordOrder) -> NDArray[np.float64]:
    """Return the features of a text, ``[len(FEATURES)]``; each is bounded or logarithmic.

    Args:
        text: a document, chunk or reply.
        characters: learned from good texts.
        order: learned from good texts.
    """
    plain = text.strip()
    size = max(len(plain), 1)
    found = words(plain)
    lines = [line.strip() for line in plain.splitlines() if line.strip()] or [""]
    sentences = [plain[start:end] for start, end in sentence_spans(plain)] or [""]
    lengths = [len(line) for line in lines]
    return np.array(
        [
            characters.score(plain),
            order.score(plain),
            np.log1p(np.mean([len(sentence.split()) for sentence in sentences])),
            len(set(found)) / max(len(found), 1) ** 0.75,
            sum(character.isdigit() for character in plain) / size,
            sum(not (character.isalnum() or character.isspace()) for character in plain) / size,
            sum(character.isupper() for character in plain) / size,
            len(_LINK.findall(plain)) / max(len(found), 1),
            np.mean([bool(_END.search(line)) for line in lines]),
            np.log1p(np.mean(lengths)),
            np.log1p(np.std(lengths)),
            len(_BOILERPLATE.findall(plain)) / max(len(found), 1) ** 0.5,
            sum(count - 1 for count in Counter(lines).values()) / len(lines),
            np.log1p(size),
        ],
        dtype=np.float64,
    )
