"""Detects the language of a short text by its script and its most common words, or returns None.

A wrong guess costs more than none: a language is returned only if the script identifies it, or the text has at least
two of its most common words, or one and letters that English does not use.
"""

from __future__ import annotations

import re
from functools import cache

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)
_COMMON = {
    "en": "the a an of to in is are was and for that it on with what how do does i my you can who when where which if "
    "be have has not there this by from will at or as should get need while",
    "de": "der die das und ist ein eine einen nicht ich mein meine meinem meiner zu mit für auf dem den wie was wer "
    "wann wo kann darf muss wir sie es haben hat im von bei nach sind wird oder ihn wenn gibt welche lange viel "
    "viele bekomme brauche soll sollte darf dürfen müssen welcher welches wieviel warum am um aus über unter vor oder "
    "auch noch mich mir uns",
    "fr": "le la les des un une et est pas je mon ma mes à de du pour que qui dans sur avec comment combien quand où "
    "il elle nous vous puis peut faut ce cette en au aux temps quel quelle "
    "quels quelles dois doit pouvons peux on depuis chez sans sont ont avez avoir être ne où cet ces leur plus y l d "
    "qu s n",
    "es": "el la los las un una y es no yo mi mis de del para que qué en con cómo cuánto cuándo dónde se por puedo "
    "debo hay al quién cuál está son lo su más o tengo "
    "necesito cuántos cuántas cuánta cuáles cuales puede pueden tiene tienen qué sin sobre hasta desde donde como "
    "cuando permite hacer ser",
    "it": "il lo la gli le un una e è non io mio mia di del della per che cosa in con come quanto quando dove si posso "
    "devo ci al chi quale sono nel alla "
    "ho ha hanno quanti quante quanta quali dei delle dal dalla può possiamo devono perché anche senza mi giorni fare "
    "l d",
    "pt": "o a os as um uma e é não eu meu minha de do da para que em com como quanto quando onde se por posso devo há "
    "ao quem qual são no na você",
    "nl": "de het een en is niet ik mijn van voor dat in op met hoe wat wie wanneer waar kan mag moet wij zijn heeft "
    "hebben als er bij naar te ook "
    "hoeveel heb mag moeten kunnen welke waarom wordt worden ons onze uit over geen zonder jaar dagen",
    "pl": "czy jak co kto gdzie kiedy ile jest są się nie na w z do mój moja moje mi mogę można muszę mam o po dla od "
    "za przez który która jaki jaka jakie to i lub albo bez",
    "sv": "och att det som är en ett på i för med av jag mitt min mina hur vad vem när var varför får kan ska måste "
    "har inte om till från den de många mycket vilken vilka utan",
    "tr": "ve bir bu için ne nasıl nerede kim kaç mı mi mu mü ile var yok ben benim gün olarak daha çok hangi zaman "
    "gerekir miyim mıyım",
}
_NAMES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
    "pl": "Polish",
    "sv": "Swedish",
    "tr": "Turkish",
    "ja": "Japanese",
    "ko": "Korean",
    "zh": "Chinese",
    "th": "Thai",
    "ar": "Arabic",
    "he": "Hebrew",
    "hi": "Hindi",
    "el": "Greek",
    "ru": "Russian",
}
_WORD = re.compile(r"[^\W\d_]+")
_SCRIPT_SHARE = 0.25
"""Share of a text's letters from which its script decides, so that a Latin name in it changes nothing."""

_COMMON_SHARE = 0.06
"""Share of the words of a longer text that must be commonest words of a language: in prose they are some 20 %."""
_PROSE = 25
"""Words from which a text counts as a longer one. A table of names may hold "da" or "como" many times."""
_DISTINCT = 4
"""Different commonest words that a longer text must hold."""


@cache
def _common_words() -> dict[str, frozenset[str]]:
    return {language: frozenset(words.split()) for language, words in _COMMON.items()}


def language_of(text: str) -> str | None:
    """Return the language of a text as an ISO 639-1 code, or None if it is not recognised.

    Knows English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish and Turkish by their words, and
    Japanese, Korean, Chinese, Thai, Arabic, Hebrew, Hindi, Greek and Russian by their scripts.
    """
    letters = sum(character.isalpha() for character in text)
    for language, pattern in _SCRIPTS:
        if letters and len(pattern.findall(text)) >= _SCRIPT_SHARE * letters:
            return language
    found = [word.casefold() for word in _WORD.findall(text)]
    votes = {language: sum(word in words for word in found) for language, words in _common_words().items()}
    ranked = sorted(votes, key=lambda language: -votes[language])
    best, second = ranked[0], ranked[1]
    if votes[best] == votes[second]:
        return None
    # One word decides only where nothing is written in English and some letter is not English.
    foreign = not votes["en"] and any(character in "¿¡" or ord(character) > 0xBF for character in text)
    if len(found) >= _PROSE:
        distinct = len(_common_words()[best] & set(found))
        return best if distinct >= _DISTINCT and votes[best] >= _COMMON_SHARE * len(found) else None
    return best if votes[best] >= (1 if foreign else 2) else None


def language_name(code: str) -> str:
    """Return the English name of a language, or its code where ragkit does not know it."""
    return _NAMES.get(code, code)
