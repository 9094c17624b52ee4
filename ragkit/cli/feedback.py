"""``ragkit feedback``: feedback on answers, and the data sets made from it."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import err, one_line, out, print_json
from ragkit.errors import ExamplePoolError, SettingsError, StoreError

if TYPE_CHECKING:
    from ragkit.feedback import FeedbackLog
    from ragkit.feedback.log import Feedback
    from ragkit.feedback.split import Reading

HELP = """List and export feedback: thumbs, corrections, comparisons, and answers saved as examples.

    ragkit feedback list

    ragkit feedback examples --pool tickets        few-shot examples for prompts

    ragkit feedback questions --output questions.jsonl && ragkit eval handbook questions.jsonl

    ragkit feedback sft --output train.jsonl && ragkit tune sft support train.jsonl

    ragkit feedback rankings --output r.jsonl && ragkit tune reward taste r.jsonl

One question in five, by a hash of its text, is held out for evaluation: only `questions` exports it, and the other
commands also leave out near-duplicates of it. A question that a person saved as an example is not used for evaluation.
"""
_SHOWN = 5

feedback = typer.Typer(help=HELP, no_args_is_help=True)


LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="FILE",
        help="Feedback log (default: .serving/feedback.sqlite in the indexes folder).",
        show_default=False,
    ),
]
Collection = Annotated[
    str | None, typer.Option("--collection", "-c", metavar="NAME", help="Only answers from this index.")
]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        metavar="DATE",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
        help="Only feedback from this date on, in UTC, as in 2026-11-01.",
        show_default=False,
    ),
]
OutFile = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="JSON Lines output file.", show_default=False)
]
ValFraction = Annotated[
    float,
    typer.Option(
        min=0, max=0.99, help="Fraction of the questions held out for evaluation; use the same for all commands."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    feedback.command("list")(list_)
    feedback.command()(export)
    feedback.command()(examples)
    feedback.command()(questions)
    feedback.command()(sft)
    feedback.command()(rankings)
    feedback.command()(standings)
    feedback.command()(forget)
    app.add_typer(feedback, name="feedback")


def list_(log: LogFile = None, collection: Collection = None, since: Since = None, json: Json = False) -> None:
    """List current feedback, oldest first: time, person, content and question."""
    with _opened(log) as opened:
        events = opened.events(collection=collection, since=_utc(since))
    if json:
        print_json({"log": opened.path, "events": [event.to_dict() for event in events]})
        return
    for event in events:
        out.print(f"[dim]{event.created:%Y-%m-%d %H:%M}[/] [bold]{event.kind}[/]", end=" ")
        who = f"{event.collection}, {event.person}" if event.person else event.collection
        out.print(f"({who}) {one_line(event.question, 100)!r}: {_said(event)}", markup=False)
    out.print(f"{len(events):,} event{'' if len(events) == 1 else 's'} in {opened.path}", style="dim", markup=False)


def export(
    log: LogFile = None,
    collection: Collection = None,
    since: Since = None,
    file: OutFile = None,
    superseded: Annotated[bool, typer.Option("--all", help="Include feedback that was replaced later.")] = False,
    json: Json = False,
) -> None:
    """Export complete events, one per line: question, prompt, answers, citations, configuration, person and time."""
    with _opened(log) as opened:
        events = opened.events(collection=collection, since=_utc(since), superseded=superseded)
    if json:
        print_json({"events": [event.to_dict() for event in events]})
    else:
        _put(file, [event.to_dict() for event in events], "events")


def examples(
    log: LogFile = None,
    collection: Collection = None,
    since: Since = None,
    val_fraction: ValFraction = 0.2,
    pool: Annotated[
        str | None,
        typer.Option("--pool", "-p", metavar="NAME", help="Pool to add them to: a name, or a path."),
    ] = None,
    file: OutFile = None,
    liked: Annotated[bool, typer.Option("--liked", help="Include answers with a thumb up.")] = False,
    json: Json = False,
) -> None:
    """Export corrections and saved answers as examples, for `ragkit ask --mode chat` and tasks."""
    from ragkit.cli.pools import opened_pool, print_issues
    from ragkit.feedback import examples_of
    from ragkit.settings import load_settings

    with _opened(log) as opened:
        found = examples_of(opened, collection=collection, since=_utc(since), liked=liked, val_fraction=val_fraction)
    rows = [{"input": row.input, "output": row.output, **row.metadata} for row in found.rows]
    if pool is None:
        _finish(found, rows, file, "examples", json)
        return
    _report_left_out(found, rows, "examples", quiet=json)
    if file is not None:
        _write(file, rows)
    with opened_pool(pool, load_settings(), create=True) as target:
        report = target.add(found.rows)
    if json:
        print_json({**_to_dict(found, rows), "pool": pool, "report": report})
        return
    out.print(f"{report.added:,} added to {pool}, {report.known:,} known.", markup=False)
    print_issues(report.refused, report.contradictions)


def questions(
    log: LogFile = None,
    collection: Collection = None,
    since: Since = None,
    val_fraction: ValFraction = 0.2,
    file: OutFile = None,
    json: Json = False,
) -> None:
    """Export held-out questions for `ragkit eval`, with approved answers and their passages."""
    from ragkit.feedback import questions_of

    with _opened(log) as opened:
        found = questions_of(opened, collection=collection, since=_utc(since), val_fraction=val_fraction)
    _finish(found, [row.to_dict() for row in found.rows], file, "questions", json)


def sft(
    log: LogFile = None,
    collection: Collection = None,
    since: Since = None,
    val_fraction: ValFraction = 0.2,
    file: OutFile = None,
    json: Json = False,
) -> None:
    """Export corrections, saved and liked answers as prompts with target replies, for `ragkit tune sft`."""
    from ragkit.feedback import records_of

    with _opened(log) as opened:
        found = records_of(opened, collection=collection, since=_utc(since), val_fraction=val_fraction)
    _finish(found, [row.to_dict() for row in found.rows], file, "records", json)


def rankings(
    log: LogFile = None,
    collection: Collection = None,
    since: Since = None,
    val_fraction: ValFraction = 0.2,
    file: OutFile = None,
    json: Json = False,
) -> None:
    """Export votes, corrections and thumbs as rankings of two answers, for `ragkit tune reward` and `tune dpo`."""
    from ragkit.feedback import rankings_of

    with _opened(log) as opened:
        found = rankings_of(opened, collection=collection, since=_utc(since), val_fraction=val_fraction)
    _finish(found, [row.to_dict() for row in found.rows], file, "rankings", json)


def standings(log: LogFile = None, collection: Collection = None, since: Since = None, json: Json = False) -> None:
    """Compare configurations: wins, losses, win rate with its 95 % confidence interval, and thumbs.

    A tie counts as half a win, and so does a vote that neither answer is good.
    """
    from rich.table import Table

    from ragkit.feedback.standings import standings as fared

    with _opened(log) as opened:
        found = fared(opened.events(collection=collection, since=_utc(since)))
    if json:
        print_json({"configurations": found})
        return
    table = Table(
        "configuration", *("answers", "won", "lost", "tied", "win rate", "95 % CI", "up", "down", "corrected")
    )
    for one in found:
        rate = "" if one.rate is None else f"{one.rate:.2f}"
        interval = "" if one.low is None else f"{one.low:.2f} to {one.high:.2f}"
        counts = (one.answers, one.wins, one.losses, one.ties)
        thumbs = (one.up, one.down, one.corrected)
        table.add_row(one.config.label, *map(str, counts), rate, interval, *map(str, thumbs))
    out.print(table)


def forget(
    log: LogFile = None,
    person: Annotated[str | None, typer.Option("--person", metavar="NAME", help="Name of the person.")] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection",
            "-c",
            metavar="NAME",
            help="Name of the index. With --person, only the person's feedback on it.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Permanently remove all feedback of a person or on an index. This can't be undone: export it first."""
    with _opened(log) as opened:
        gone = opened.remove(person=person, collection=collection)
    if json:
        print_json({"removed": gone})
    else:
        out.print(f"{gone:,} event{'' if gone == 1 else 's'} removed.")


@contextmanager
def _opened(log: Path | None) -> Iterator[FeedbackLog]:
    from ragkit.feedback import FeedbackLog
    from ragkit.feedback.log import FILE_NAME
    from ragkit.serving.database import STATE
    from ragkit.settings import load_settings

    file = log or load_settings().indexes / STATE / FILE_NAME
    if not file.is_file():
        raise StoreError(
            f"Feedback log not found: {file}.",
            "It is created when a user of `ragkit serve` gives feedback. To use another file: --log FILE",
        )
    with FeedbackLog.open(file, create=False) as opened:
        yield opened


def _utc(given: datetime | None) -> datetime | None:
    return given.replace(tzinfo=UTC) if given is not None and given.tzinfo is None else given


def _said(event: Feedback) -> str:
    """Return a short summary of an event."""
    if event.kind == "rating":
        return f"thumb {event.thumb}" if event.thumb else "thumb withdrawn"
    if event.kind == "correction":
        return f"should be {one_line(event.text, 80)!r}" if event.text else "correction withdrawn"
    if event.kind == "example":
        return one_line(event.output, 80) if event.kept else "removed from the examples"
    a, b = event.a.configuration.label, event.b.configuration.label
    return {"a": f"{a} preferred to {b}", "b": f"{b} preferred to {a}"}.get(event.winner, f"{event.winner}: {a}, {b}")


def _to_dict(found: Reading[Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    left_out = [{"question": one.question, "why": one.why} for one in found.left_out]
    return {"rows": rows, "left_out": left_out, "measuring": found.measuring, "teaching": found.teaching}


def _finish(found: Reading[Any], rows: list[dict[str, Any]], file: Path | None, what: str, json: bool) -> None:
    """Write rows to the file or to stdout, after reporting what was left out."""
    _report_left_out(found, rows, what, quiet=json)
    if json:
        if file is not None:
            _write(file, rows)
        print_json(_to_dict(found, rows))
    else:
        _put(file, rows, what)


def _report_left_out(found: Reading[Any], rows: list[dict[str, Any]], what: str, *, quiet: bool) -> None:
    """Report on stderr what was left out and why, and how the questions are split.

    Raises:
        ExamplePoolError: if there are no rows.
    """
    reasons: dict[str, list[str]] = {}
    for one in found.left_out:
        reasons.setdefault(one.why.split(":")[0], []).append(one.question or one.why)
    if not quiet:
        err.print(
            f"{found.teaching:,} questions for training, {found.measuring:,} held out for evaluation.", style="dim"
        )
        for why, asked in sorted(reasons.items(), key=lambda item: -len(item[1])):
            err.print(
                f"left out, {why}: {len(asked):,}, such as {one_line(asked[0], 80)!r}", style="yellow", markup=False
            )
    if not rows:
        first = max(reasons, key=lambda why: len(reasons[why]), default="the log has no such feedback")
        raise ExamplePoolError(f"There are no {what} to export: {first}.", "List the feedback: ragkit feedback list")


def _put(file: Path | None, rows: list[dict[str, Any]], what: str) -> None:
    if file is None:
        for row in rows:
            sys.stdout.write(jsonlib.dumps(row, ensure_ascii=False) + "\n")
        return
    _write(file, rows)
    err.print(f"{len(rows):,} {what} written to {file}", markup=False)


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    from ragkit._files import write_atomically

    try:
        write_atomically(file, "".join(jsonlib.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    except OSError as error:
        raise SettingsError(f"{file} can't be written: {error.strerror}.", "Specify another output file.") from error
