"""Finding training rows that occur in evaluation data: recall on planted ones, and false alarms.

Run: python benchmarks/decontamination.py [--half dev|test]

The evaluation data are the questions of XQuAD-en's even articles (``dev``, on which the thresholds were chosen) or odd
ones (``test``). Training rows: 200 of these questions verbatim (case, punctuation and white space changed), 200 others
in other words, and up to 600 clean ones from the articles of the other half. The rewording is by rules: other question
words, synonyms, and the last phrase moved to the front. Beside it exact match after normalising. It takes a minute.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import half, versions, xquad
from ragkit.datagen.decontaminate import find_contamination
from ragkit.datagen.inputs import Pair
from ragkit.embedding import open_embedder

LEADS = [
    (r"^how many\b", "what number of"),
    (r"^how much\b", "what amount of"),
    (r"^who\b", "which person"),
    (r"^where\b", "in which place"),
    (r"^when\b", "at what time"),
    (r"^why\b", "for what reason"),
    (r"^what year\b", "which year"),
    (r"^in what\b", "in which"),
    (r"^which\b", "what"),
    (r"^what\b", "which"),
]
SYNONYMS = """
called=named name=title began=started begin=start first=earliest biggest=largest big=large built=constructed
made=produced used=employed died=perished city=town country=nation found=discovered wrote=authored won=gained
show=demonstrate type=kind kinds=types happened=occurred main=primary important=significant people=persons
help=assist said=stated ended=finished end=finish led=headed leader=head created=founded part=portion near=beside
area=region increase=rise increased=rose often=frequently about=approximately group=band famous=renowned
given=granted lost=forfeited bought=purchased sold=traded child=kid children=kids work=labour worked=laboured
student=pupil students=pupils teacher=instructor teachers=instructors school=academy house=home river=stream
believed=thought became=turned allowed=permitted located=situated home=residence average=mean
"""
SYNONYM = dict(pair.split("=") for pair in SYNONYMS.split())
_PHRASE = re.compile(r"^(.{12,}) ((?:in|at|during|on|for|from|after|before|by) (?:[^\s]+ ){0,6}[^\s]+)\?$")


def verbatim(question: str, rng: random.Random) -> str:
    """Return the question with other case, punctuation and white space."""
    return rng.choice([question.upper(), question.rstrip("?"), question.replace(" ", "  "), f'"{question}"', question])


def reworded(question: str) -> str:
    """Return the question in other words."""
    text = question.strip()
    text = text[0].lower() + text[1:]
    for pattern, new in LEADS:
        text, count = re.subn(pattern, new, text)
        if count:
            break
    text = re.sub(r"[a-z]+", lambda word: SYNONYM.get(word.group(), word.group()), text)
    if moved := _PHRASE.match(text):
        text = f"{moved[2]}, {moved[1]}?"
    return text[0].upper() + text[1:]


def main() -> None:
    """Print recall and false alarms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["dev", "test"], default="test", help="articles of the evaluation data")
    parser.add_argument("--examples", type=int, default=0, help="print so many missed and falsely found rows")
    args = parser.parse_args()
    print(versions("onnxruntime", "numpy"))
    _, questions = xquad()
    rng = random.Random(0)
    own = half(questions, args.half)
    clean = list(half(questions, "dev" if args.half == "test" else "test"))
    rng.shuffle(clean)
    chosen = rng.sample(own, 400)
    references = [Pair(q.text, q.answers[0]) for q in own]
    rows = [Pair(verbatim(q.text, rng), q.answers[0]) for q in chosen[:200]]
    rows += [Pair(reworded(q.text), q.answers[0]) for q in chosen[200:]]
    rows += [Pair(q.text, q.answers[0]) for q in clean[:600]]
    groups = {"verbatim": range(200), "reworded": range(200, 400), "clean": range(400, len(rows))}
    full = {one.row: one for one in find_contamination(rows, references, open_embedder())}
    exact = {one.row for one in find_contamination(rows, references) if one.rule == "exact"}
    print(f"{args.half}: {len(references)} evaluation rows, {len(rows)} training rows")
    print("| rows | number | found | exact match alone |\n|---|---|---|---|")
    for name, group in groups.items():
        found, plain = sum(n in full for n in group), sum(n in exact for n in group)
        print(f"| {name} | {len(group)} | {found / len(group):.3f} | {plain / len(group):.3f} |")
    for number in [n for n in groups["reworded"] if n not in full][: args.examples]:
        print("missed:", rows[number].question, "|", chosen[number].text)
    for number in [n for n in groups["clean"] if n in full][: args.examples]:
        one = full[number]
        print("false:", rows[number].question, "|", references[one.reference].question, "|", one.rule, one.detail)


if __name__ == "__main__":
    main()
