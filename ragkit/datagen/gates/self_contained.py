"""Self-contained: can the question be understood without seeing its passage?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragkit.answering.language import language_name, language_of
from ragkit.datagen.gates.base import GateScore, passage_of
from ragkit.datagen.rows import DataRow
from ragkit.retrieval.terms import content_terms, content_words

LANGUAGES = frozenset({"en", "de", "fr", "es", "it", "pt", "nl", "zh", "ja"})
"""Languages whose references to "the passage" are known; the gate abstains for others."""
_SOURCE = r"(?:passages?|texts?|articles?|paragraphs?|documents?|excerpts?|context|snippets?|sections?|chapters?)"
_REFERS_TO_PASSAGE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "the text of the treaty" names its text; "the text" alone does not.
        rf"\b(?:according to|based on|mentioned in|described in|discussed in|stated in|given in|in|from|by|does|did|"
        rf"is|of|about) the (?:\w+ )?{_SOURCE}\b(?! (?:of|on|about|for|\d))",
        rf"\b(?:this|that|the (?:given|above|following|previous|provided)) {_SOURCE}\b",
        r"\b(?:the|this) (?:author|narrator|writer|speaker)s?\b(?! of| who| whose)",
        r"\b(?:the|this) (?:table|figure|image|diagram|list)\b(?! of| for| that| in)",
        r"\b(?:mentioned|described|shown|listed|given|discussed) (?:above|below|here|earlier)\b|\babove-mentioned\b",
        r"\b(?:laut|gemäß|nach|in|im|aus) (?:dem|diesem|der|dieser|obigen) (?:\w+ )?(?:Text|Textes|Abschnitt|Absatz|"
        r"Artikel|Dokument|Passage)\b|\bim (?:Text|Abschnitt|Absatz|Artikel|Dokument)\b|\bder Autor\b(?! de[rs])",
        r"\b(?:selon|d'après|dans) (?:le|ce|cet|l'|la|cette) ?(?:texte|passage|article|document|paragraphe|section)\b"
        r"|\bl'auteur\b(?! d)",
        r"\b(?:según|en|de) (?:el|este|la|esta) (?:texto|pasaje|artículo|documento|párrafo|sección)\b|\bel autor\b"
        r"(?! d)",
        r"\b(?:secondo|nel|nella|in) (?:il|questo|la|questa)? ?(?:testo|brano|articolo|documento|paragrafo|sezione)\b"
        r"|\bl'autore\b(?! d)",
        r"\b(?:segundo|de acordo com|no|na|neste|nesta) ?(?:o|a|este|esta)? ?(?:texto|trecho|artigo|documento|"
        r"parágrafo|seção)\b|\bo autor\b(?! d)",
        r"\b(?:volgens|in|uit) (?:de|deze|het|dit) (?:tekst|passage|artikel|document|alinea|paragraaf)\b|\bde auteur\b"
        r"(?! van)",
        r"文中|本文|上文|下文|这段|这篇|該文|该文|この文章|この記事|この節|上記",
    )
)
_POINTS = re.compile(
    r"\b(?:it|its|they|them|their|he|him|his|she|her|this|these|those|such|"
    r"er|sie|ihn|ihm|ihr|ihre|dieser|diese|dieses|diesem|il|elle|ils|elles|ello|ellos|ellas|esso|essa|essi)\b",
    re.IGNORECASE,
)
_EXPLETIVE = re.compile(
    r"\b(?:is|are|was|were|will|would|can|could|does|did|has|how long|when|where|if) it (?:\w+ )?(?=(?:a|an|any|take|"
    r"cost|mean|possible|ok|okay|allowed|true|necessary|required|mandatory|safe|legal|illegal|common|called when|"
    r"become|became|say|that|to)\b)|\b(?:s'agit|est-il|y a-t-il|il y a|il faut|faut-il)\b|"
    r"\bgibt es\b",
    re.IGNORECASE,
)
_THIS_TIME = re.compile(
    r"\b(?:this|these|those) (?:years?|months?|weeks?|days?|who|which|whose|that|of|with|in)\b", re.I
)
_DEMONSTRATIVE = re.compile(r"\b(?:this|these) \w+", re.IGNORECASE)
_FEW = 3
"""Words with a meaning of their own before "this bridge", up to which none of them is taken for a bridge."""


class SelfContainedGate:
    """Rejects questions that refer to "the passage", or to something by a pronoun without naming it.

    Follow-up questions of a conversation may refer back; the gate abstains for them.
    """

    name = "self-contained"
    threshold = 1.0

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return 1 for self-contained questions, else 0."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        if any(message.role == "assistant" for message in row.messages):
            return GateScore(None, "A follow-up question may refer back.")
        if reference := unresolved_reference(row.question):
            return GateScore(0.0, f"The question refers to “{reference}”, which it does not name.")
        language = language_of(row.question) or language_of(passage_of(row))
        if language is not None and language not in LANGUAGES:
            return GateScore(None, f"There is no list of references for {language_name(language)}.")
        return GateScore(1.0)


def unresolved_reference(question: str) -> str:
    """Return the words with which a question refers to something that it does not name; empty if there are none."""
    for pattern in _REFERS_TO_PASSAGE:
        if match := pattern.search(question):
            return match.group()
    plain = _THIS_TIME.sub(" ", _EXPLETIVE.sub(" ", question))
    for match in _POINTS.finditer(plain):
        # A pronoun may stand for a noun before it in the same question.
        before = content_words(plain[: match.start()])
        demonstrative = _DEMONSTRATIVE.match(plain, match.start())
        if demonstrative and len(before) <= _FEW and not _mentioned(demonstrative.group(), before):
            return demonstrative.group()
        # The only word before it is its verb: "Who designed it?"
        verb = len(before) == 1 and before[0].end() == match.start() - 1
        if not before or (verb and before[0].group().islower()):
            return match.group()
    return ""


def _mentioned(reference: str, before: Sequence[re.Match[str]]) -> bool:
    said = set(content_terms(" ".join(match.group() for match in before)))
    return not said.isdisjoint(content_terms(reference))
