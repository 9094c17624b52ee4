"""Classifies questions by the kind of answer that they ask for, from the wording alone.

A rule is a pattern over the sentence that asks. Rules are tried from the specific to the general, and the first that
matches decides. A rule that matches weakly (a bare noun phrase, a question in a language without rules) is marked as
unsure, so that a caller can use a better classifier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from ragkit.chunking import sentence_spans

Kind = Literal[
    "fact",
    "number",
    "yes_no",
    "list",
    "comparison",
    "procedure",
    "definition",
    "summary",
    "about",
    "keywords",
    "identifier",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of questions, by which the readers are chosen."""


@dataclass(frozen=True, slots=True)
class KindGuess:
    """The kind of a question, with the rule that decided it."""

    kind: Kind
    rule: str
    """Name of the rule."""
    sure: bool = True
    """Whether the wording states the kind; False if it was only assumed."""


def _compiled(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


_DOCUMENT = r"(?:documents?|pages?|files?|docs?|handbook|manual|collection|sources?|papers?|guides?)"
_ABOUT = _compiled(
    rf"\bwhat (?:is|are|'s) (?:these|this|those|the|your|all) (?:\w+ )?{_DOCUMENT}(?: here)? (?:all )?about\b",
    rf"\bwhat (?:kinds? of |sorts? of |other )?{_DOCUMENT} (?:do you have|are (?:there|here|in here|indexed))\b",
    rf"\b(?:which|what) {_DOCUMENT} (?:cover|deal with|talk about|mention|discuss|should i read|describe|explain)\b",
    r"\b(?:is there |do you have |have you got )?(?:anything|something) (?:in here |here |in there )?(?:about|"
    r"on|regarding)\b",
    rf"\bhow many {_DOCUMENT} (?:are there|do you have|are (?:in|here))\b",
    r"\bwhat can (?:i ask|you (?:tell|help)|you answer)\b",
    r"\bwhat topics\b",
)
_SUMMARY = _compiled(
    r"\bsumm?ar(?:y|i[sz]e|ies|i[sz]ing)\b",
    r"\bsum(?:s|ming)? (?:\w+ ){0,4}?up\b",
    r"\btl;?\s?dr\b",
    r"\bthe gist\b",
    r"\boverview\b",
    r"\b(?:key|main) (?:points?|takeaways?|ideas?)\b",
    r"\bin (?:short|a nutshell|brief|a few (?:words|sentences))\b",
    r"\bboil (?:it|this|that) down\b",
    r"\b(?:zusammenfass\w*|fass\w* .* zusammen|résum\w+|resum\w+|riassum\w+)",
)
_COMPARISON = _compiled(
    r"\bdifferen(?:ce|ces|t|tly)\b.*\b(?:between|from|than|and)\b",
    r"\bhow (?:do|does|is|are) .* differ\b",
    r"\bcompar(?:e|ed|ison|ing)\b",
    r"\b(?:versus|vs\.?)\b",
    r"\bpros and cons\b",
    r"\bwhich (?:\w+ ){0,4}?(?:is|are|has|have|takes?|lasts?|costs?|gets?|pays?|turns?|one)\b.*\bor\b",
    r"\bwh(?:at|ich|o) (?:\w+ ){0,5}?(?:longer|shorter|bigger|larger|smaller|higher|lower|cheaper|more|less|"
    r"fewer|better"
    r"|worse|faster|slower|older|newer|earlier|later|first|longest|shortest|largest|smallest|highest|lowest|cheapest"
    r"|most|fewest|oldest|newest|fastest)\b.*(?:[:,]| or | than )",
    r"\bwhich of (?:them|these|those|the two|both)\b",
    r"\b(?:both|either) .* and .*\b(?:same|equal)\b",
    r"\bthe same (?:as|for both)\b",
    r"\bhow (?:often|long|much|many|far)\b.*\band how (?:often|long|much|many|far)\b",
    r"^(?:who|what|when|where)\b[^?]*\band (?:who|what|when|where)\b",
)
_SUPERLATIVE = _compiled(
    r"\bwh(?:ich|at|o) (?:\w+ ){0,3}?(?:has|have|is|are|was|were|takes?|costs?|weighs?|lasts?|"
    r"pays?) the (?:\w+est|most|least|fewest)\b",
    r"\bwhich (?:\w+ ){1,3}(?:costs?|weighs?|lasts?|takes?) (?:the )?(?:most|least|longest|shortest)\b",
)
_PROCEDURE = _compiled(
    r"\bhow (?:do|can|should|would|could|must|might|does one|do you|are you supposed) (?:i|we|you|one|someone|"
    r"people|to)\b",
    r"\bhow to\b",
    r"\bhow (?:does|do) (?:that|this|it|the process|the procedure) work\b",
    r"\bhow does (?:the )?[\w' -]{2,40} work\b",
    r"\bwhat (?:are|is) the (?:\w+ )?(?:steps?|process|procedure|way to)\b",
    r"\bwhat (?:do|should|must|would) (?:i|we|you) (?:have to |need to |do |first )?do\b",
    r"\bwhat (?:do|should) (?:i|we) do\b",
    r"\bwalk me through\b",
    r"\b(?:steps?|instructions?) (?:to|for)\b",
    r"^(?:wie (?:kann|muss|soll|mache|bekomme|beantrage) (?:ich|wir|man)|comment (?:puis|dois|faire|peut)|"
    r"¿?c[oó]mo (?:puedo|debo|se|hago))\b",
)
_LIST = _compiled(
    r"\b(?:what|which) (?:\w+ )?(?:kinds?|types?|sorts?|ways?|options?|forms?|categories|examples|reasons|"
    r"things|items"
    r"|rules|requirements|conditions|benefits|advantages|documents|tools|steps|people|teams|channels|methods)\b",
    r"^(?:please )?(?:list|name|enumerate)\b",
    r"\b(?:list|name) (?:all|the|every|each|some|me)\b",
    r"\bwhat (?:are|were) (?:all |the |some |my )+(?:\w+ )*?\w+s\b",
    r"\bwhich (?:\w+ ){0,2}?\w+(?<![su])s (?:are|do|does|did|can|may|must|should|were|have|need)\b",
    r"\bwhat (?:all|else) (?:do|does|is|are|can|must|should)\b",
    r"\bwhat (?:should|must|do|does|can|may|could) (?:\w+ ){1,4}(?:include|contain|bring|pack|cover|consist of|"
    r"provide)\b",
    r"\bwhat (?:has|have|needs?|must|should|ought) (?:to )?be (?:in|on|part of|included|enclosed|attached)\b",
)
_NUMBER = _compiled(
    r"\bhow (?:many|much|long|often|far|old|big|large|tall|high|deep|heavy|fast|early|late|soon|wide|hot|cold|"
    r"frequently)\b",
    r"\bwhat (?:percentage|percent|number|amount|share|price|cost|rate|total|size|age)\b",
    r"\bwhat (?:is|are|was|were) the (?:\w+ ){0,3}(?:number|amount|percentage|price|cost|rate|total|size|weight|"
    r"length"
    r"|height|distance|temperature|limit|maximum|minimum|deadline)\b",
    r"^(?:wie (?:viele?|lange|oft|weit|hoch|groß)|combien|¿?cu[aá]nt[oa]s?|quant[oiae]s?)\b",
)
_DEFINITION = _compiled(
    r"^(?:what(?:'s| is| are|s)|wtf is|explain) (?:an? |the (?:term |acronym |"
    r"abbreviation )?)?[\"“']?[\w.&/ -]{1,48}[\"”']?$",
    r"\bwhat (?:is|are) (?:meant|understood) by\b",
    r"\bwhat (?:does|do|did) .{1,60} (?:mean|stand for|refer to|signify)\b",
    r"\b(?:meaning|definition) of\b",
    r"^define\b",
    r"^(?:was (?:ist|bedeutet)|qu'est-ce que|qu[eé] (?:es|significa))\b",
)
_AUXILIARY = (
    r"(?:do|does|did|is|are|was|were|am|can|could|may|might|must|shall|should|will|would|has|have|had|ain't|need|"
    r"isn't|aren't|wasn't|don't|doesn't|didn't|can't|couldn't|won't|wouldn't|shouldn't|haven't|hasn't)"
)
_YES_NO = _compiled(
    rf"^(?:and |but |so |or |then |also |well |hi |hello |hey |ok |okay |please )*{_AUXILIARY}\b",
    rf",\s*(?:and |but |so |then )?{_AUXILIARY} (?:i|we|you|he|she|it|they|there|this|that|the|an?|my|our)\b",
    r",\s*(?:is it|isn't (?:it|that)|right|correct|true|really)\?$",
    r"^(?:darf|kann|können|muss|müssen|soll|sollen|ist|sind|hat|haben|gibt es|werde|wird|brauche|bekomme|"
    r"est-ce que|puis-je|peut-on|dois-je|faut-il|¿?(?:puedo|puede|debo|hay|es|está|tengo|se puede)|posso|devo)\b",
)
_PERMISSION = re.compile(r"(?:and |but |so )?(?:can|could|may|might|am i allowed)\b", re.IGNORECASE)
"""Asks whether either of two is possible ("Can I pay by card or cheque?"), not which of them."""
_CONDITION = re.compile(
    r"^(?:and |but |so )?(?:what )?(?:if|when) (?:i|we|you|he|she|they|it|there|my|the)\b[^?,]*\?$", re.IGNORECASE
)
_WH = re.compile(
    r"\b(?:who|whom|whose|what|when|where|which|why|how)(?:'s|s|'re)?\b|^(?:wer|was|wann|wo|wie|warum|welche\w*|"
    r"qui|quoi|quand|où|quel\w*|pourquoi|¿?(?:qui[eé]n|qu[eé]|cu[aá]ndo|d[oó]nde|cu[aá]l|por qu[eé]))\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\b(?=[A-Za-z0-9_./-]*\d)(?=[A-Za-z0-9_./-]*[A-Za-z])[A-Za-z0-9]+(?:[-_./][A-Za-z0-9]+)*\b|\b[A-Z]{2,}-?\d+\b"
)
_LEADS = 4
"""Maximum number of characters between the first question word and the wording of a kind: "which of the kinds"."""
_RULES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("about", _ABOUT),
    ("summary", _SUMMARY),
    ("comparison", _COMPARISON),
    ("comparison", _SUPERLATIVE),
)
_LATER_RULES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("procedure", _PROCEDURE),
    ("list", _LIST),
    ("number", _NUMBER),
    ("definition", _DEFINITION),
)


def asking_part(question: str) -> str:
    """Return the sentence of a text that asks the question, without introductory sentences.

    This is the last sentence with a question mark, else the last with a question word, else the complete text.
    """
    spans = sentence_spans(question.strip())
    parts = [question.strip()[start:end] for start, end in spans]
    for part in reversed(parts):
        if part.endswith(("?", "？", "؟")):
            return part
    return next((part for part in reversed(parts) if _WH.search(part)), question.strip())


def first_question_word(text: str) -> int:
    """Return where the first question word of a text begins, which governs what is asked; its length without one."""
    match = _WH.search(text)
    return match.start() if match else len(text)


def kind_of(question: str) -> KindGuess:
    """Return the kind of a question by its wording.

    Args:
        question: question as a person asks it; a follow-up should already be a standalone question.
    """
    whole = " ".join(question.replace("’", "'").split())
    if _CONDITION.match(whole):
        return KindGuess("fact", "asks what a condition changes")
    for kind, pattern in _RULES:
        if pattern.search(whole):
            return KindGuess(kind, f"{kind} wording")
    part = " ".join(asking_part(question).replace("’", "'").split()).lstrip("¿¡ ")
    bare = part.rstrip("?？؟!. ")
    if _YES_NO.search(part if part.endswith("?") else bare):
        either = re.search(r"\w,? or \w", bare) and not re.search(r"\bor (?:not|is it|do i|can i|no)\b", bare)
        if either and not _PERMISSION.match(bare):
            return KindGuess("comparison", "a choice of two")
        return KindGuess("yes_no", "begins with an auxiliary verb")
    governing = first_question_word(bare)
    for kind, pattern in _LATER_RULES:
        match = pattern.search(bare)
        if match and match.start() <= governing + _LEADS:
            return KindGuess(kind, f"{kind} wording")
    if re.search(r"^[\w' -]{2,40}(?:,| or) (?:or )?[\w' -]{2,40}$", bare) and " or " in bare and part.endswith("?"):
        return KindGuess("comparison", "a choice of two")
    if _WH.search(part):
        return KindGuess("fact", "question word")
    tokens = bare.split()
    if any(_CODE.fullmatch(token) for token in tokens) and len(tokens) <= 4:
        return KindGuess("identifier", "contains a code")
    if not part.endswith(("?", "？", "؟")) and len(tokens) <= 6:
        return KindGuess("keywords", "no verb and no question word", sure=len(tokens) <= 4)
    return KindGuess("fact", "no rule matches", sure=False)
