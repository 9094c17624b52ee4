"""Sentences of documents, corrupted in nine ways and paraphrased in seven, to fit and to measure the support verifier.

The synonyms here were written apart from the verifier's own list. Antonyms and units are the verifier's, so that the
planted figures for these two kinds are an upper bound; `data/support_pairs.jsonl`, written by hand, has no such overlap.
"""

# Patterns and lists of words are easier to read on one line.
# ruff: noqa: E501

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from ragkit.answering.support.lexicon import MONTHS, UNITS, WEEKDAYS, antonym_list
from ragkit.answering.support.sentence import is_fragment, parse
from ragkit.chunking import sentence_spans

SHARED = Path(__file__).parents[2] / "shared" / "data"
KINDS = ("negation", "antonym", "number", "unit", "name", "place", "time", "quantifier", "role")
TURNS = ("dropped", "synonym", "voice", "reordered", "number words", "modal", "question")


@dataclass(frozen=True)
class Pair:
    """A claim beside its evidence, with the right verdict."""

    claim: str
    evidence: str
    label: str
    """`entailed`, `contradicted` or `not_stated`."""
    kind: str


def clean(markdown: str) -> str:
    text = re.sub(r"\A---\n.*?\n---\n", "", markdown, flags=re.S)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]+)\]\((?:[^()]|\([^)]*\))*\)", r"\1", text)
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]+>", "", text, flags=re.S)
    return re.sub(r"[*`_]{1,3}", "", text)


def _is_train(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 0


def texts(train: bool) -> list[tuple[str, str]]:
    """(name, text) of the documents of one half: XQuAD's even or odd articles, handbook pages by hash."""
    found = []
    for number, article in enumerate(json.loads((SHARED / "xquad.en.json").read_text("utf-8"))["data"]):
        if (number % 2 == 0) == train:
            found += [(article["title"].replace("_", " "), paragraph["context"]) for paragraph in article["paragraphs"]]
    for path in sorted((SHARED / "handbook" / "docs").rglob("*.md")):
        if _is_train(path.name) == train:
            found.append((path.stem, clean(path.read_text("utf-8"))))
    return found


def sentences(train: bool) -> list[str]:
    found = []
    for _, text in texts(train):
        for start, end in sentence_spans(text):
            sentence = re.sub(r"\s+", " ", text[start:end]).strip().lstrip("-*#+0123456789. ")
            if not 40 < len(sentence) < 260 or "|" in sentence or "http" in sentence:
                continue
            if sentence[0].isupper() and sentence[-1] == "." and not is_fragment(sentence):
                found.append(sentence)
    return list(dict.fromkeys(found))


# Corruptions.

_PLACES = [
    "Germany",
    "France",
    "Italy",
    "Spain",
    "England",
    "Scotland",
    "Ireland",
    "Poland",
    "Russia",
    "China",
    "Japan",
    "India",
    "Korea",
    "Kenya",
    "Nigeria",
    "Egypt",
    "Turkey",
    "Greece",
    "Hungary",
    "Austria",
    "Sweden",
    "Norway",
    "Denmark",
    "Finland",
    "Portugal",
    "Canada",
    "Mexico",
    "Brazil",
    "Peru",
    "Australia",
    "London",
    "Paris",
    "Berlin",
    "Rome",
    "Vienna",
    "Warsaw",
    "Moscow",
    "Beijing",
    "Tokyo",
    "Chicago",
    "Boston",
    "Denver",
    "Seattle",
    "Dallas",
    "Miami",
    "Washington",
    "Florida",
    "California",
    "Texas",
    "Virginia",
    "Pennsylvania",
    "Ohio",
    "Oregon",
    "Europe",
    "Asia",
    "Africa",
    "Britain",
    "Baghdad",
    "Constantinople",
    "Normandy",
    "Sicily",
    "Victoria",
    "Melbourne",
    "Sydney",
    "Newcastle",
    "Jacksonville",
    "Fresno",
    "Nairobi",
    "Mongolia",
    "Tibet",
    "Switzerland",
    "Netherlands",
    "Belgium",
    "Iran",
    "Iraq",
    "Israel",
    "Sudan",
]
_QUANTIFIERS = [
    ("most", "few"), ("Most", "Few"), ("most", "all"), ("Most", "All"), ("some", "all"), ("Some", "All"), ("Many", "All"),
    ("many", "all"), ("several", "all"), ("Several", "All"), ("all", "some"), ("All", "No"), ("all", "no"), ("Every", "No"),
    ("every", "no"), ("each", "no"), ("Each", "No"), ("at least", "at most"), ("at most", "at least"), ("up to", "at least"),
    ("a maximum of", "a minimum of"), ("more than", "less than"), ("less than", "more than"), ("over", "under"),
    ("fewer than", "more than"), ("No", "Every"), ("often", "always"), ("usually", "always"), ("sometimes", "always"),
    ("always", "rarely"), ("Few", "Most"), ("few", "most"), ("certain", "all"), ("mostly", "exclusively"),
    ("primarily", "exclusively"), ("generally", "always"), ("typically", "always"), ("majority", "minority"),
]  # fmt: skip
_WEAKENS = {("all", "some")}
_UNIT_WORDS = [unit for unit in UNITS if len(unit) > 3 and UNITS[unit] in ("time", "length", "mass", "money", "data")]


def _swap_word(sentence: str, old: str, new: str) -> str | None:
    changed, count = re.subn(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, sentence, count=1)
    return changed if count else None


def _negation(sentence: str, rng: random.Random) -> str | None:
    if re.search(r"\b(not|cannot|never)\b|n['’]t\b", sentence):
        changed = re.sub(r"\b(do|does|did) not |\b(?:do|does|did)n['’]t ", "", sentence, count=1)
        if changed == sentence:
            changed = re.sub(r"\bcannot\b|\bcan['’]t\b", "can", sentence, count=1)
        if changed == sentence:
            changed = re.sub(r" not(?! only)\b| never\b", "", sentence, count=1)
        return changed if changed != sentence else None
    found = list(re.finditer(r"\b(is|are|was|were|can|must|should|will|may|has been|have been|had)\b", sentence))
    if not found or re.search(r"\b(no|No|without)\b", sentence):
        return None
    match = found[0]
    if match[0] in ("has been", "have been"):
        return sentence[: match.start()] + match[0].replace(" ", " not ") + sentence[match.end() :]
    word = rng.choice([" not", " not", " never"])
    return sentence[: match.end()] + word + sentence[match.end() :]


def _antonym(sentence: str, rng: random.Random) -> str | None:
    pairs = [pair for left, right in antonym_list() for pair in ((left, right), (right, left))]
    rng.shuffle(pairs)
    skip = {"in", "out", "on", "off", "to", "from", "up", "down", "into", "all", "most", "many", "can", "more", "less", "over",
            "under", "first", "last", "since", "until", "before", "after", "none", "same", "other", "like", "here", "there",
            "black", "white", "right", "left", "kind", "lead", "general", "least", "state", "because", "despite", "within",
            "land", "sea", "follow", "even", "light", "well", "live", "fall", "spring", "question", "second", "hard",
            "found", "bear", "know", "find", "go", "come", "take", "give", "start", "part", "whole", "work", "man", "woman",
            "parent", "child", "source", "following", "next", "morning", "evening", "day", "night", "daily", "weekly"}  # fmt: skip
    for left, right in pairs:
        if left in skip or right in skip:
            continue
        for ending in ("", "s", "d", "ed"):
            if (ending == "ed" and left.endswith("e")) or (ending == "d" and not left.endswith("e")):
                continue
            target = {"": right, "s": right + "s", "d": right + ("d" if right.endswith("e") else "ed")}.get(
                ending, right + ("d" if right.endswith("e") else "ed")
            )
            if ending and right in (
                "lose",
                "sell",
                "cut",
                "fall",
                "win",
                "keep",
                "leave",
                "buy",
                "send",
                "spend",
                "hide",
            ):
                continue
            changed = _swap_word(sentence, left + ending, target)
            if changed:
                return changed
    return None


def _number(sentence: str, rng: random.Random) -> str | None:
    found = list(re.finditer(r"(?<![\w.,:-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w:-])(?!,\d)", sentence))
    found = [m for m in found if not (1000 <= float(m[0].replace(",", "")) <= 2100 and "," not in m[0])]
    words = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    if found:
        match = rng.choice(found)
        value = float(match[0].replace(",", ""))
        other = rng.choice(
            [value * 2, value * 10, value + rng.randint(1, 9), max(1.0, value - 1), round(value * 1.5) + 1]
        )
        if other == value:
            other = value + 3
        text = f"{other:,.0f}" if other == int(other) else f"{other:.1f}"
        return sentence[: match.start()] + text + sentence[match.end() :]
    for word in words:
        changed = _swap_word(sentence, word, rng.choice([other for other in words if other != word]))
        if changed:
            return changed
    return None


def _unit(sentence: str, rng: random.Random) -> str | None:
    for unit in rng.sample(_UNIT_WORDS, len(_UNIT_WORDS)):
        others = [
            o for o in _UNIT_WORDS if UNITS[o] == UNITS[unit] and o[:4] != unit[:4] and o not in ("second", "minute")
        ]
        for ending in ("s", ""):
            if not re.search(
                rf"(?:\d|\b(?:one|two|three|four|five|six|ten|a|per|every|each|of)) {unit}{ending}\b", sentence
            ):
                continue
            other = rng.choice(others)
            plural = other[:-1] + "ies" if other.endswith("y") and other != "day" else other + "s"
            return _swap_word(sentence, unit + ending, plural if ending else other)
    return None


def names_in(sentence: str) -> list[str]:
    parsed = parse(sentence)
    if not any(token.name for token in parsed.tokens):
        return []
    return [m[0] for m in re.finditer(r"(?<![.?!] )(?<!^)\b[A-Z][\w’'-]+(?: (?:of |the )?[A-Z][\w-]+)*", sentence)]


def _name(sentence: str, rng: random.Random, pool: list[str]) -> str | None:
    names = [n for n in names_in(sentence) if n.split()[0] not in _PLACES and n.lower() not in (*MONTHS, *WEEKDAYS)]
    names = [n.removesuffix("'s").removesuffix("’s") for n in names]
    if not names:
        return None
    old = rng.choice(names)
    new = rng.choice([n for n in pool if n not in sentence and set(n.lower().split()).isdisjoint(old.lower().split())])
    return _swap_word(sentence, old, new)


def _place(sentence: str, rng: random.Random) -> str | None:
    here = [place for place in _PLACES if re.search(rf"\b{place}\b", sentence)]
    if not here:
        return None
    return _swap_word(sentence, rng.choice(here), rng.choice([p for p in _PLACES if p not in sentence]))


def _time(sentence: str, rng: random.Random) -> str | None:
    options = []
    for names in (MONTHS, WEEKDAYS):
        for name in names:
            word = name.title()
            if word != "May" and re.search(rf"\b{word}\b", sentence):
                options.append((word, rng.choice([n.title() for n in names if n != name])))
    for match in re.finditer(r"(?<![\d,.–-])(1[0-9]|20)\d\d(?![\d,.–]\d|s|\w)", sentence):
        options.append((match[0], str(int(match[0]) + rng.choice([-20, -10, -3, -1, 1, 2, 10, 15]))))
    for left, right in (("before", "after"), ("after", "before"), ("until", "after"), ("Before", "After"), ("After", "Before"),
                        ("daily", "monthly"), ("annually", "monthly"), ("weekly", "yearly")):  # fmt: skip
        if re.search(rf"\b{left}\b", sentence):
            options.append((left, right))
    for match in re.finditer(r"\b\d{1,2}:\d\d\b", sentence):
        hours, minutes = match[0].split(":")
        options.append((match[0], f"{(int(hours) + rng.randint(1, 5)) % 12 + 1}:{minutes}"))
    return _swap_word(sentence, *rng.choice(options)) if options else None


def _quantifier(sentence: str, rng: random.Random) -> str | None:
    for old, new in rng.sample(_QUANTIFIERS, len(_QUANTIFIERS)):
        if (old, new) in _WEAKENS or (old == "over" and not re.search(r"\bover \d", sentence)):
            continue
        if old == "most" and re.search(
            r"\b(the|at|one of the|his|its) most\b|most [a-z]+(ful|ous|ive|ent|ant|ed|al)\b", sentence
        ):
            continue
        if old == "many" and re.search(r"\b(how|as|so|too) many\b", sentence):
            continue
        if old in ("up to", "more than", "less than", "at least", "at most") and not re.search(
            rf"\b{old} (?:\w+ )?(?:\d|one|two|three|half|[a-z]+ (?:percent|million))", sentence
        ):
            continue
        changed = _swap_word(sentence, old, new)
        if changed:
            return changed
    return None


def _role(sentence: str, rng: random.Random) -> str | None:
    names = list(dict.fromkeys(n.removesuffix("'s").removesuffix("’s") for n in names_in(sentence)))
    first = re.match(r"(?:The )?([A-Z][a-z]+(?: [A-Z][a-z]+)*)(?= [a-z]+ )", sentence)
    if first and first[1] not in (
        "The",
        "In",
        "A",
        "An",
        "It",
        "They",
        "He",
        "This",
        "For",
        "If",
        "When",
        "You",
        "Your",
    ):
        names = [first[1], *[n for n in names if n not in first[0]]]
    names = [n for n in names if n.lower() not in (*MONTHS, *WEEKDAYS)]
    verb = r"(?: (?:was|were|had|has|is|are|will|can|must|also|then))* [a-z]+(?:ed|s|de|de|ook|ave|on|nt|old|ld|ew|lt|by)\b"
    for left in names:
        for right in names:
            if left == right or left in right or right in left:
                continue
            between = re.search(rf"\b{re.escape(left)}((?:'s|’s)?{verb}[^,;.()]*?) {re.escape(right)}\b", sentence)
            if between and " and " not in between[1] and len(between[1]) < 70:
                return sentence[: between.start()] + right + between[1] + " " + left + sentence[between.end() :]
    nouns = re.match(
        r"(The|Your|A) ([a-z]+(?: [a-z]+)?) ((?:will |must |can |should |may )?[a-z]+(?:s|ed)?) (the|your|a) ([a-z]+)([ .].*)",
        sentence,
    )
    if nouns and nouns[3].split()[0] in ("will", "must", "can", "should", "may"):
        rng.random()
        return f"{nouns[4].title()} {nouns[5]} {nouns[3]} {nouns[1].lower()} {nouns[2]}{nouns[6]}"
    return None


def corrupt(sentence: str, kind: str, rng: random.Random, pool: list[str]) -> str | None:
    """Return the sentence with one planted mistake of a kind, or None where it has nothing to change."""
    if kind == "name":
        return _name(sentence, rng, pool)
    makers = {
        "negation": _negation, "antonym": _antonym, "number": _number, "unit": _unit, "place": _place, "time": _time,
        "quantifier": _quantifier, "role": _role,
    }  # fmt: skip
    changed = makers[kind](sentence, rng)
    return changed if changed and changed != sentence else None


# Paraphrases.

_SYNONYMS = dict(
    pair.split("=")
    for pair in [
        "began=started",
        "started=began",
        "large=big",
        "many=numerous",
        "usually=normally",
        "often=frequently",
        "quickly=rapidly",
        "employees=staff members",
        "employee=staff member",
        "purchase=buy",
        "buy=purchase",
        "help=assist",
        "helps=assists",
        "required=needed",
        "require=need",
        "requires=needs",
        "obtain=get",
        "receive=get",
        "received=got",
        "created=made",
        "ensure=make sure",
        "additional=extra",
        "approximately=about",
        "about 1=roughly 1",
        "annually=every year",
        "each year=every year",
        "assistance=help",
        "contains=includes",
        "include=contain",
        "includes=contains",
        "large=sizable",
        "important=significant",
        "main=principal",
        "major=significant",
        "however=but",
        "prior to=before",
        "located=situated",
        "killed=slain",
        "built=constructed",
        "constructed=built",
        "founded=established",
        "established=founded",
        "known as=called",
        "called=named",
        "named=called",
        "used=employed",
        "use=utilize",
        "uses=utilizes",
        "demonstrated=showed",
        "showed=demonstrated",
        "allow=permit",
        "allows=lets",
        "prohibited=forbidden",
        "select=choose",
        "choose=pick",
        "choosing=picking",
        "chosen=picked",
        "complete=finish",
        "finished=completed",
        "submit=hand in",
        "submitted=handed in",
        "verify=check",
        "check=verify",
        "contact=reach out to",
        "entire=whole",
        "whole=entire",
        "city=town",
        "area=region",
        "region=area",
        "country=nation",
        "nation=country",
        "children=kids",
        "people=persons",
        "begin=start",
        "ended=finished",
        "ends=finishes",
        "increase=rise",
        "increased=rose",
        "reduced=lowered",
        "reduce=lower",
        "declined=fell",
        "attempt=try",
        "attempted=tried",
        "attempts=tries",
        "respond=reply",
        "purchase=acquire",
        "larger=bigger",
        "rapid=fast",
        "almost=nearly",
        "nearly=almost",
        "primarily=mainly",
        "mainly=chiefly",
        "mostly=mainly",
        "sufficient=enough",
        "several=a number of",
        "frequently=often",
        "commonly=frequently",
        "typically=usually",
        "generally=usually",
        "immediately=right away",
        "currently=now",
        "remain=stay",
        "remained=stayed",
        "won=gained",
        "defeated=beat",
        "led=headed",
        "leader=head",
        "ruled=governed",
        "moved=relocated",
        "travel=go",
        "died=passed away",
        "lived=resided",
        "wealthy=rich",
        "difficult=hard",
        "simple=easy",
        "error=mistake",
        "issue=problem",
        "issues=problems",
        "problem=issue",
        "shows=displays",
        "show=display",
        "provide=give",
        "provides=gives",
        "provided=gave",
        "gave=granted",
        "keep=retain",
        "maintain=keep",
        "maintained=kept",
        "whether=if",
        "assigned=given",
        "information=details",
        "request=ask for",
        "modify=change",
        "changed=altered",
        "changes=alterations",
        "discovered=found",
        "found=discovered",
        "believed=thought",
        "consider=regard",
        "different=distinct",
        "various=several",
        "portion=part",
        "part=portion",
        "throughout=all through",
        "despite=in spite of",
        "although=though",
        "because of=due to",
        "due to=because of",
        "participate in=take part in",
        "regarding=about",
        "permitted=allowed",
        "manager=boss",
        "supervisor=manager",
        "meeting=get-together",
        "trip=journey",
        "automobile=car",
        "film=movie",
        "war=conflict",
        "fight=battle",
        "rights=entitlements",
    ]
)
_DIGITS = dict(
    zip(
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        range(2, 13),
        strict=True,
    )
)


def _dropped(sentence: str, rng: random.Random) -> str | None:
    options = []
    bare = re.sub(r" \([^)]*\)", "", sentence)
    if bare != sentence:
        options.append(bare)
    match = re.match(
        r"(.{35,}?), (?:which|who|where|whose|including|such as|as well as|followed by|although|though|while|as )\b.*\.$",
        sentence,
    )
    if match:
        options.append(match[1] + ".")
    match = re.match(
        r"(?:In|On|At|During|After|By|For|Since|With|As|From|Under|Today|Overall|However|Additionally|Also)\b[^,]{0,60}, ((?:the|a|an|it|he|you|they|[A-Z]).{25,})$",
        sentence,
    )
    if match:
        options.append(match[1][0].upper() + match[1][1:])
    match = re.match(
        r"(.{35,}?)(?:, and|; |, so|, but|, because| because| so that| in order to) [a-z].{15,}\.$", sentence
    )
    if match and not re.search(r"\b(if|If|unless|not)\b", match[1]):
        options.append(match[1] + ".")
    return rng.choice(options) if options else None


def _synonym(sentence: str, rng: random.Random) -> str | None:
    changed, done = sentence, 0
    for old, new in rng.sample(list(_SYNONYMS.items()), len(_SYNONYMS)):
        other = _swap_word(changed, old, new)
        if other and done < 2:
            changed, done = other, done + 1
    return changed if done else None


_PARTICIPLES = {"written": "wrote", "made": "made", "built": "built", "led": "led", "taken": "took", "given": "gave",
                "held": "held", "won": "won", "found": "found", "seen": "saw", "chosen": "chose", "begun": "began"}  # fmt: skip


def _voice(sentence: str, rng: random.Random) -> str | None:
    match = re.match(
        r"([A-Z][^,;]{3,60}?) (was|were) ([a-z]+ed|"
        + "|".join(_PARTICIPLES)
        + r") by ((?:the |a |an )?[A-Z]?[\w-]+(?: [A-Z][\w-]+)*)(.*)$",
        sentence,
    )
    if match:
        verb = _PARTICIPLES.get(match[3], match[3])
        patient = (
            match[1]
            if match[1].split()[0] not in ("The", "A", "An", "This", "These", "His")
            else match[1][0].lower() + match[1][1:]
        )
        return f"{match[4][0].upper()}{match[4][1:]} {verb} {patient}{match[5]}"
    match = re.match(
        r"(You|Employees|Staff|Users|Supervisors|Teams|They|We) (must|can|should|may|will) ([a-z]+) ((?:the|your|a|an|any|all|their) [\w ]+?)([.,]| (?:in|on|at|by|from|to|for|with|when|if|before|after)\b)(.*)$",
        sentence,
    )
    if match and match[3] not in (
        "be",
        "have",
        "also",
        "not",
        "only",
        "need",
        "want",
        "get",
        "see",
        "take",
        "find",
        "then",
    ):
        verb = match[3]
        irregular = {"submit": "submitted", "send": "sent", "make": "made", "write": "written", "keep": "kept", "put": "put",
                     "set": "set", "choose": "chosen", "read": "read", "buy": "bought", "begin": "begun", "pay": "paid",
                     "give": "given", "bring": "brought", "do": "done", "tell": "told"}  # fmt: skip
        if verb.endswith("e"):
            participle = verb + "d"
        elif verb.endswith("y") and verb[-2] not in "aeiou":
            participle = verb[:-1] + "ied"
        else:
            participle = irregular.get(verb, verb + "ed")
        by = (
            ""
            if rng.random() < 0.5
            else f" by {match[1].lower() if match[1] not in ('They', 'We') else 'them' if match[1] == 'They' else 'us'}"
        )
        return f"{match[4][0].upper()}{match[4][1:]} {match[2]} be {participle}{by}{match[5]}{match[6]}"
    return None


def _reordered(sentence: str, rng: random.Random) -> str | None:
    del rng
    match = re.match(
        r"((?:If|When|Once|Because|After|Before|While|Although|Until|In|On|During|At|By|Since) [^,]{4,80}), ([^,;]{15,})\.$",
        sentence,
    )
    if match:
        opening = match[1][0].lower() + match[1][1:]
        return f"{match[2][0].upper()}{match[2][1:]} {opening}."
    match = re.match(
        r"([A-Z][^,;]{15,}?),? ((?:if|when|once|because|after|before|while|although|until|in order to) [^,;]{8,})\.$",
        sentence,
    )
    if match:
        first = match[1].split()[0]
        main = (
            match[1]
            if first.isupper() or first not in ("You", "The", "A", "An", "It", "They", "This", "We", "There", "Your")
            else match[1][0].lower() + match[1][1:]
        )
        return f"{match[2][0].upper()}{match[2][1:]}, {main}."
    return None


def _number_words(sentence: str, rng: random.Random) -> str | None:
    del rng
    for word, value in _DIGITS.items():
        changed = _swap_word(sentence, word, str(value))
        if changed:
            return changed
        match = re.search(rf"(?<![\w.,:$#/-]){value}(?= [a-z])", sentence)
        if match:
            return sentence[: match.start()] + word + sentence[match.end() :]
    match = re.search(r"(?<![\w,])(\d{1,3}),000(?![,\d])", sentence)
    if match:
        return sentence[: match.start()] + f"{match[1]} thousand" + sentence[match.end() :]
    return _swap_word(sentence, "percent", "%") or (sentence.replace("%", " percent", 1) if "%" in sentence else None)


def _modal(sentence: str, rng: random.Random) -> str | None:
    options = [("must", "has to" if rng.random() < 0 else "have to"), ("need to", "must"), ("should", "ought to"), ("can", "may"),
               ("is required", "is necessary"), ("cannot", "can't"), ("do not", "don't"), ("does not", "doesn't"),
               ("may", "can"), ("is not", "isn't"), ("it is", "it's"), ("will be", "is going to be"), ("at least", "no fewer than"),
               ("up to", "at most"), ("more than", "over"), ("only", "exclusively"), ("was not", "wasn't"), ("every", "each")]  # fmt: skip
    for old, new in rng.sample(options, len(options)):
        if old == "up to" and not re.search(r"up to (?:\d|two|three|four|five|ten)", sentence):
            continue
        if old in ("every", "more than") and not re.search(rf"{old} (?:\d|year|month|week|day|one)", sentence):
            continue
        changed = _swap_word(sentence, old, new)
        if changed:
            return changed
    return None


def paraphrase(sentence: str, turn: str, rng: random.Random) -> str | None:
    """Return the sentence put in another way, or None where this way does not fit it."""
    makers = {
        "dropped": _dropped, "synonym": _synonym, "voice": _voice, "reordered": _reordered, "number words": _number_words,
        "modal": _modal,
    }  # fmt: skip
    changed = makers[turn](sentence, rng)
    return changed if changed and changed != sentence and len(changed) > 25 else None


# Questions of XQuAD as statements: people's own wording of what a sentence says.


def statements(train: bool) -> list[Pair]:
    """Pairs from questions and answers: the right answer put into the question, and a wrong one of the paragraph."""
    found = []
    rng = random.Random(11)
    for number, article in enumerate(json.loads((SHARED / "xquad.en.json").read_text("utf-8"))["data"]):
        if (number % 2 == 0) != train:
            continue
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            spans = sentence_spans(context)
            answers = [qa["answers"][0]["text"] for qa in paragraph["qas"]]
            for qa in paragraph["qas"]:
                answer, at = qa["answers"][0]["text"], qa["answers"][0]["answer_start"]
                inside = next((n for n, (s, e) in enumerate(spans) if s <= at < e), None)
                if inside is None or len(answer.split()) > 8:
                    continue
                statement = _stated(qa["question"], answer)
                if statement is None:
                    continue
                evidence = (
                    context[spans[max(0, inside - 1)][0] : spans[inside][1]] if inside else context[slice(*spans[0])]
                )
                found.append(Pair(statement, evidence, "entailed", "question"))
                others = [a for a in answers if a.lower() not in answer.lower() and answer.lower() not in a.lower()]
                others = [a for a in others if a[0].isdigit() == answer[0].isdigit() and a not in qa["question"]]
                if others:
                    wrong = _stated(qa["question"], rng.choice(others))
                    found.append(Pair(wrong or "", evidence, "contradicted", "wrong answer"))
    return [pair for pair in found if pair.claim]


def _stated(question: str, answer: str) -> str | None:
    text = question.strip().rstrip("?").strip()
    upper = answer[0].upper() + answer[1:]
    match = re.match(
        r"(?:Who|What|Which [a-z]+|What [a-z]+) ((?:was|is|were|are|had|has|will|can|could)? ?(?:[a-z]+(?:ed|s|de|n|t|w)\b|the|a|an).*)$",
        text,
    )
    if (
        match
        and not re.match(
            r"(?:was|is|were|are|did|does|do|has|had) (?:the|a|an|[A-Z]\w+|it|they|he|his|its) .*\b(?:\w+ed|called|named|known|made)\b",
            match[1],
        )
        and not match[1].startswith(("did", "does", "do "))
    ):
        return f"{upper} {match[1]}."
    match = re.match(
        r"(When|Where|In what year|In which year|What year|On what date|In what city|In what country) (?:did|does|do) (.+)$",
        text,
    )
    if match:
        word = "" if re.match(r"(in|on|at|from|by|during|since) ", answer) else "in "
        return f"{match[2][0].upper()}{match[2][1:]} {word}{answer}."
    match = re.match(r"(?:How many|How much) ([a-z ]+?) (?:did|do|does) (.+)$", text)
    if match:
        return f"{match[2][0].upper()}{match[2][1:]} {answer} {match[1]}."
    match = re.match(r"How many ([a-z ]+?) (are|were|was|have|had) (.+)$", text)
    if match:
        return f"{upper} {match[1]} {match[2]} {match[3]}."
    return None


def planted(train: bool, per_kind: int, per_turn: int, seed: int = 5) -> list[Pair]:
    """Corruptions and paraphrases of one half's sentences, evenly by kind as far as the sentences allow."""
    rng = random.Random(seed)
    base = sentences(train)
    pool = sorted({n for s in base for n in names_in(s) if 3 < len(n) < 30 and n.split()[0] not in _PLACES})
    found = []
    for kind in KINDS:
        done = 0
        for sentence in rng.sample(base, len(base)):
            changed = corrupt(sentence, kind, rng, pool)
            if changed:
                found.append(Pair(changed, sentence, "contradicted", kind))
                done += 1
            if done == per_kind:
                break
    for turn in TURNS[:-1]:
        done = 0
        for sentence in rng.sample(base, len(base)):
            changed = paraphrase(sentence, turn, rng)
            if changed and done < per_turn:
                second = paraphrase(changed, rng.choice(("synonym", "modal", "number words")), rng)
                found.append(Pair(second if second and rng.random() < 0.4 else changed, sentence, "entailed", turn))
                done += 1
    return found


def beyond(train: bool, count: int, seed: int = 9) -> list[Pair]:
    """Statements beside their evidence: neighbours, foreign additions, fragments."""
    rng = random.Random(seed)
    found = []
    base = sentences(train)
    for _ in range(count):
        at = rng.randrange(len(base) - 1)
        found.append(Pair(base[at + 1], base[at], "not_stated", "neighbour"))
        tail = re.search(r" (in|at|by|for|with|after|because|when|if) [^,]{8,40}\.$", base[rng.randrange(len(base))])
        if tail and base[at][:-1]:
            found.append(Pair(base[at][:-1] + tail[0], base[at], "not_stated", "addition"))
        words = base[at].split()
        cut = rng.randint(3, max(3, len(words) // 2))
        if words[cut] not in (
            "to",
            "and",
            "or",
            "in",
            "on",
            "at",
            "for",
            "by",
            "of",
            "with",
            "when",
            "if",
            "as",
            "from",
        ):
            found.append(Pair(" ".join(words[:cut]), base[at], "not_stated", "fragment"))
    return found
