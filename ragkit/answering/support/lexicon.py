"""English word lists, and comparison of word forms."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

FUNCTION_WORDS = frozenset(
    """
    a an the this that these those it its they them their theirs he him his she her hers we us our you your i me my
    who whom whose which what where when why how there here and or nor of in on at to for from by with as into onto
    be am is are was were been being do does did have has had will would shall should can could may might must ought
    if because although though while whereas unless so but than then also too both either not no n't such very more
    about over under up out off down s t d ll re ve please own same just even still only ever
    any some all every each most many few several none least
    however therefore thus hence moreover furthermore if yes
    """.split()  # noqa: SIM905
)
RELATIONS = frozenset(
    "before after until since during within without over under above below inside outside up down in out".split()  # noqa: SIM905
)
"""Function words that have an opposite: ignored if missing, a contradiction if replaced by the opposite."""
LIGHT_WORDS = frozenset(
    """
    make get take give go come use way thing people person one case order part kind type number amount need
    become call name say tell put set become example certain various specific particular different other another
    own like want know see look keep let people member time place new following according regarding current
    """.split()  # noqa: SIM905
)
"""Words whose absence from the evidence says little."""
AUXILIARIES = frozenset(
    """
    is are was were be been being am do does did have has had will would shall should can could may might must
    ought 's 're 've 'll
    """.split()  # noqa: SIM905
)
BE = frozenset("is are was were be been being am get gets got".split())  # noqa: SIM905
MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()  # noqa: SIM905
UNITS = {
    unit: family
    for family, names in {
        "time": "second minute hour day week month quarter year decade century night",
        "length": "millimetre millimeter centimetre centimeter metre meter kilometre kilometer inch foot yard mile "
        "km cm mm mi",
        "mass": "gram kilogram tonne ton pound ounce kg lb mg",
        "volume": "litre liter millilitre gallon pint",
        "money": "dollar euro cent yen franc rupee usd eur gbp",
        "data": "byte kilobyte megabyte gigabyte terabyte kb mb gb tb bit",
        "temperature": "celsius fahrenheit kelvin",
        "share": "percent percentage",
        "power": "watt kilowatt megawatt volt ampere",
    }.items()
    for unit in names.split()
}
_IRREGULAR = {
    form: forms.split()[0]
    for forms in """
    be is are was were been being am|have has had|do does did done|go goes went gone|say said|make made|take took taken
    come came|see saw seen|know knew known|get got gotten|give gave given|find found|think thought|tell told
    become became|leave left|feel felt|put|bring brought|begin began begun|keep kept|hold held|write wrote written
    stand stood|hear heard|let|mean meant|meet met|run ran|pay paid|sit sat|speak spoke spoken|lie lay lain|lead led
    grow grew grown|lose lost|fall fell fallen|send sent|build built|understand understood|draw drew drawn
    break broke broken|spend spent|cut|rise rose risen|drive drove driven|buy bought|wear wore worn|choose chose chosen
    seek sought|throw threw thrown|catch caught|deal dealt|win won|forget forgot forgotten|lay laid|sell sold
    fight fought|bear bore borne born
    teach taught|eat ate eaten|sing sang sung|strike struck|hang hung|shake shook shaken
    ride rode ridden|feed fed|shoot shot|drink drank drunk|hit|arise arose arisen|fly flew flown|spread|sleep slept
    cause caused|learn learnt|fly flies|hide hid hidden|freeze froze frozen|steal stole stolen|swim swam swum
    wake woke woken|tear tore torn|shut|split|set|cost|hurt|read|quit|rid|swear swore sworn|bind bound|bite bit bitten
    blow blew blown|breed bred|creep crept|dig dug|flee fled|forbid forbade forbidden|forgive forgave forgiven
    shrink shrank shrunk|sink sank sunk|slide slid|spin spun
    stick stuck|sweep swept|swing swung|withdraw withdrew withdrawn
    overturn|uphold upheld|withhold withheld|undergo underwent undergone|show showed shown|prove proven|sew sewn
    use using used|die dying died dies|tie tying tied ties|lie lying lied lies|try tried tries
    man men|woman women|child children|foot feet|tooth teeth|mouse mice|person persons|life lives|wife wives
    half halves|leaf leaves|datum data|criterion criteria|phenomenon phenomena|analysis analyses|crisis crises
    bacterium bacteria|series|species|bus buses|gas gases|business|process|access|address|always|perhaps|news
    early earlier earliest|easy easier easiest|large larger largest|big bigger biggest|high higher highest
    low lower lowest|small smaller smallest|great greater greatest|old older oldest
    new newer newest|short shorter shortest
    long longer longest|near nearer nearest|fast faster fastest|late later latest|strong stronger strongest
    """.replace("\n", "|").split("|")
    if forms.strip()
    for form in forms.split()
}
_NOT_PREFIXED = frozenset(
    """
    form come vest tense put land side stall deed port press prove tent sure cover play pose tribute cline crease
    habit herit finite vent sect spect spire stance struct tend vite volve vade vent trigue ject fer stitute
    charge cuss tance trict ease like solve patch miss mantle card till cipline aster turb plete posit pend
    """.split()  # noqa: SIM905
)
_PREFIXES = ("un", "in", "im", "il", "ir", "non", "dis", "de")


@cache
def lemma(word: str) -> str:
    """Return a word without its inflection and without ``-ly``; good for comparing, not for reading."""
    word = _IRREGULAR.get(word, word)
    if len(word) > 3 and word.isascii():
        if word.endswith("ies") and len(word) > 4:
            word = word[:-3] + "y"
        elif word.endswith(("sses", "shes", "ches", "xes", "zes", "oes")):
            word = word[:-2]
        elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
        if word.endswith("ing") and len(word) > 5:
            word = word[:-3]
        elif word.endswith("ied"):
            word = word[:-3] + "y"
        elif word.endswith("ed") and len(word) > 4 and not word.endswith("eed"):
            word = word[:-2]
        elif word.endswith("ily") and len(word) > 5:
            word = word[:-3] + "y"
        elif word.endswith("ly") and len(word) > 5 and word not in ("family", "supply", "apply", "reply", "assembly"):
            word = word[:-2]
        word = _IRREGULAR.get(word, word)
        if len(word) > 3 and word[-1] == word[-2] and word[-1].isalpha():
            word = word[:-1]
        if len(word) > 3 and word.endswith("e"):
            word = word[:-1]
    return word


def derived(one: str, other: str) -> bool:
    """Return whether two lemmas are of one family, such as ``educat`` and ``education``."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 4 or shorter.endswith("les") or longer.endswith("les"):
        return False
    shared = 0
    for left, right in zip(shorter, longer, strict=False):
        if left != right:
            break
        shared += 1
    if shared == len(shorter) and len(longer) - len(shorter) <= 5:
        return True
    return shared >= 5 and shared >= len(shorter) - 2 and len(longer) - shared <= 5


@cache
def _pairs() -> frozenset[tuple[str, str]]:
    found = set()
    for line in _lines("antonyms.txt"):
        left, right = (lemma(word) for word in line.split())
        if left != right:
            found |= {(left, right), (right, left)}
    return frozenset(found)


def antonyms(one: str, other: str) -> bool:
    """Return whether two lemmas are opposites, by the list, a prefix (``un-``, ``in-``, ``non-``) or ``-less``."""
    if (one, other) in _pairs():
        return True
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 4 or len(longer) - len(shorter) > 5:
        return False
    for prefix in _PREFIXES:
        if longer == prefix + shorter and shorter not in _NOT_PREFIXED:
            return True
    bare = longer.removesuffix("les")
    return bare != longer and bare == shorter.removesuffix("ful")


@cache
def _groups() -> dict[str, frozenset[int]]:
    member: dict[str, set[int]] = {}
    for number, line in enumerate(_lines("synonyms.txt")):
        for word in line.split():
            member.setdefault(phrase_key(word.replace("_", " ")), set()).add(number)
    return {word: frozenset(groups) for word, groups in member.items()}


def phrase_key(phrase: str) -> str:
    """Return what a phrase of the synonym list is looked up by."""
    return " ".join(lemma(word) for word in phrase.split())


def synonyms(one: str, other: str) -> bool:
    """Return whether two lemmas, or phrases of lemmas, share a group of the synonym list."""
    groups = _groups()
    return not groups.get(one, frozenset()).isdisjoint(groups.get(other, frozenset()))


@cache
def phrases() -> frozenset[str]:
    """Return the keys of the synonym list that have several words."""
    return frozenset(key for key in _groups() if " " in key)


@cache
def antonym_list() -> tuple[tuple[str, str], ...]:
    """Return the pairs of the antonym list as they are written."""
    return tuple((left, right) for left, right in (line.split() for line in _lines("antonyms.txt")))


def _lines(name: str) -> list[str]:
    text = (files("ragkit.answering.support") / "data" / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#") and re.search(r"\s", line)]
