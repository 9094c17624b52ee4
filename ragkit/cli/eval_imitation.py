"""``ragkit eval imitation``: did tuning on a teacher's rows change the style of a model, its facts, or both?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json


def imitation(
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE.json", help="Report of the untuned student.", show_default=False)
    ],
    after: Annotated[
        Path, typer.Argument(metavar="AFTER.json", help="Report of the tuned student.", show_default=False)
    ],
    teacher: Annotated[
        Path, typer.Argument(metavar="TEACHER.json", help="Report of the teacher (--as-teacher).", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Compare the style and the facts of a tuned model, from three reports over the same held-out questions.

    Style is the distance from the teacher's replies by length, punctuation, function words and character trigrams, with
    content words masked; 0 is the same style and 1 the greatest distance. Facts are the share of right answers and of
    supported sentences. All intervals are 95 %, by a paired bootstrap over the questions.

        ragkit eval ./docs held-out.jsonl --mode chat --model smollm2 --output before.html

        ragkit eval ./docs held-out.jsonl --mode chat --model tuned:reader --output after.html

        ragkit eval ./docs held-out.jsonl --mode chat --model qwen2.5-coder-0.5b --as-teacher --output teacher.html

        ragkit eval imitation before.json after.json teacher.json
    """
    from rich.table import Table

    from ragkit.evaluation import read_report
    from ragkit.evaluation.imitation import imitation_report

    found = imitation_report(read_report(before), read_report(after), read_report(teacher))
    if json:
        print_json(found.to_dict())
        return
    out.print(f"{found.before} → {found.after}, teacher {found.teacher}, {found.questions:,} questions", markup=False)
    table = Table("", "before", "after", "teacher", "change", "95 % CI", box=None, header_style="dim")
    for one in found.styles:
        change = -one.moved.mean
        interval = f"{-one.moved.high:+.3f} to {-one.moved.low:+.3f}"
        title = "distance: " + ("all features" if one is found.style else one.feature)
        table.add_row(title, f"{one.before.mean:.3f}", f"{one.after.mean:.3f}", "", f"{change:+.3f}", interval)
    for fact in found.facts:
        interval = f"{fact.gain.low:+.3f} to {fact.gain.high:+.3f}"
        means = [f"{one.mean:.3f}" for one in (fact.before, fact.after, fact.teacher)]
        table.add_row(fact.title, *means, f"{fact.gain.mean:+.3f}", interval)
    table.add_row("words per reply", *(f"{count:.1f}" for count in found.words), "", "")
    out.print(table)
    out.print(f"Verdict: {found.verdict}.", style="bold", markup=False)
    out.print(found.explanation, markup=False)
