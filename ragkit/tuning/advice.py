"""Prompt, head or LoRA: measures what a task's examples are worth to each way, and says which to take."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit._files import append_line, read_rows
from ragkit._progress import Progress, ProgressCallback
from ragkit._stats import wilson_interval
from ragkit.errors import MissingExtraError, SettingsError
from ragkit.indexing.database import write_errors
from ragkit.indexing.writing import writer_lock
from ragkit.records import Example
from ragkit.tasks.base import as_model, close_model
from ragkit.tuning.advice_curves import Forecast, PowerLaw, Right, crossing, gaining, power_law
from ragkit.tuning.advice_data import Parts, parted
from ragkit.tuning.advice_ways import WAYS, Means, Measured, measure
from ragkit.tuning.comparison import Estimate, gain

if TYPE_CHECKING:
    from ragkit.models import ChatModel

_JOURNAL = "advice.jsonl"
_FITS = "fits"
_NEAR = 2.0
"""Times that differ by less than this factor count as equal: other work on the machine does as much."""
_TUNING = ("transformers", "torch")


@dataclass(frozen=True, slots=True)
class Point:
    """A way, fitted to so many examples."""

    examples: int
    accuracy: float
    """On the held-out part."""
    low: float
    """The beginning of its 95 % interval (Wilson)."""
    high: float
    fit_seconds: float
    seconds_per_thousand: float
    """For 1,000 inputs that are given together, on this machine."""
    dollars_per_thousand: float | None
    """For 1,000 inputs; 0 for what runs on this machine, None where the price is not known."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class WayReport:
    """How a way does."""

    way: str
    points: tuple[Point, ...]
    """The fewest examples first; the last learned from all."""
    curve: PowerLaw | None
    """Fitted to the points; None for fewer than three."""
    behind: Estimate
    """How much more accurate the most accurate way is, with the 95 % interval of a paired bootstrap."""
    worse: bool
    """Whether that is shown: the whole interval is above 0."""
    overtakes: Forecast | None
    """With how many examples it overtakes the recommended way; None for that way itself."""

    @property
    def full(self) -> Point:
        """The point that learned from all examples."""
        return self.points[-1]


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and the numbers that say so."""

    recommended: str
    """The cheapest way that is not shown to be worse than the most accurate one: by the seconds of 1,000 inputs, and of
    those that take less than twice the least by the seconds of the fit."""
    most_accurate: str
    ways: tuple[WayReport, ...]
    one_point: Forecast
    """With how many examples the recommended way gains 0.01 of accuracy."""
    examples: int
    """Learned from at most."""
    held_out: int
    labels: int
    unmeasured: tuple[str, ...]
    """Labels of which no example is held out."""
    leaked: int
    """Examples left out because they stand in the held-out part, or nearly."""
    left_out: dict[str, str]
    """Ways that were not measured, and why."""

    def of(self, way: str) -> WayReport:
        """Return the report on a way."""
        return next(report for report in self.ways if report.way == way)

    @property
    def words(self) -> tuple[str, ...]:
        """The advice in sentences."""
        from ragkit.tuning.advice_words import words

        return words(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the words too."""
        return {**asdict(self), "words": list(self.words)}


def advise(
    examples: Iterable[Example],
    ways: Sequence[str] = (),
    *,
    held_out: int | None = None,
    sizes: Sequence[int] = (),
    seed: int = 0,
    model: ChatModel | str | None = None,
    embedder: str = "default",
    calls: int = 200,
    head_seconds: float = 60.0,
    lora_minutes: float | None = None,
    threads: int = 0,
    work: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Advice:
    """Measure each way to put inputs into classes on a held-out part of the examples, and say which to take.

    Each is fitted anew to parts of the rest, the smaller ones within the larger, so that it shows what more labels are
    worth. What is measured is kept in the work folder: the same call goes on after an interruption.

    Args:
        examples: inputs with their labels; two labels with five examples each, or more.
        ways: of ``WAYS``; by default those that can be had: ``tuned-head`` with the extra ``tune``, ``lora`` where
            minutes for it are given.
        held_out: examples to measure on; by default a quarter, at most 500.
        sizes: examples to learn from, beside all; by default a quarter and half.
        seed: of chance.
        model: of ``examples``, or its name.
        embedder: see ``open_embedder``.
        calls: of the model, for each fit of ``examples``.
        head_seconds: of training, for each fit of ``tuned-head``.
        lora_minutes: of training, for each fit of ``lora``.
        threads: of the model that ``lora`` tunes, when it answers; 0 for all cores.
        work: a folder for what is measured; by default one that is gone afterwards.
        progress: called as work goes on; the stage ``advise`` counts fits, the others are named after way and size.

    Raises:
        ExamplePoolError: if there are too few examples.
        SettingsError: if a way is unknown, or a number can't be.
        MissingExtraError: if a way that was asked for needs a package that is not installed.
        IndexLockedError: if another process measures in the work folder.
        RagkitError: if a way can't be fitted.
    """
    chosen, left_out = _chosen(ways, lora_minutes)
    parts = parted(list(examples), held_out, seed)
    steps = parts.sizes(sizes)
    with ExitStack() as stack:
        opened = as_model(model) if "examples" in chosen else None
        if opened is not None and opened is not model:
            stack.callback(close_model, opened)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()) if work is None else work).expanduser()
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(writer_lock(folder))
        means = Means(opened, embedder, calls, head_seconds, lora_minutes, threads=threads, seed=seed)
        measured = _measured(chosen, parts, steps, means, folder, progress)
    return _advice(measured, steps, parts, left_out, seed)


def _chosen(ways: Sequence[str], lora_minutes: float | None) -> tuple[list[str], dict[str, str]]:
    """Return the ways to measure, and why others are left out."""
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        raise SettingsError(f"There is no way {unknown[0]!r}.", f"Legal values: {', '.join(WAYS)}.")
    if "lora" in ways and lora_minutes is None:
        raise SettingsError("lora needs to be told how long it may train.", "Give lora_minutes, or --lora-minutes 5")
    missing = next((name for name in _TUNING if find_spec(name) is None), None)
    lacking = next((name for name in (*_TUNING, "peft", "accelerate") if find_spec(name) is None), None)
    if missing and "tuned-head" in ways:
        raise MissingExtraError(missing, "tune", "to fine-tune an embedder")
    if lacking and lora_minutes is not None and ("lora" in ways or not ways):
        raise MissingExtraError(lacking, "tune", "to tune a model")
    left_out: dict[str, str] = {}
    if not ways and missing:
        left_out["tuned-head"] = f"{missing} is not installed: pip install 'ragkit[tune]'"
    if not ways and lora_minutes is None:
        left_out["lora"] = "no time was given for it: --lora-minutes 5"
    return [way for way in WAYS if way in ways or (not ways and way not in left_out)], left_out


def _measured(
    ways: Sequence[str],
    parts: Parts,
    sizes: Sequence[int],
    means: Means,
    folder: Path,
    progress: ProgressCallback | None,
) -> dict[str, list[Measured]]:
    """Return what each way does at each size, from the journal or else by fitting it."""
    journal = _Journal(folder / _JOURNAL)
    shutil.rmtree(folder / _FITS, ignore_errors=True)
    found: dict[str, list[Measured]] = {way: [] for way in ways}
    total, done = len(ways) * len(sizes), 0
    for way in ways:
        for size in sizes:
            stage = f"{way} {size}"
            if progress is not None:
                progress(Progress("advise", done, total, stage))
            question = [way, size, means.seed, parts.data, means.of(way)]
            known = journal.get(question)
            if known is None:
                # A fit that was cut off is begun anew: its seconds are told, and half of them would be too few.
                place = folder / _FITS / stage.replace(" ", "-")
                named = None if progress is None else _renamed(progress, stage)
                known = measure(way, place, parts.train[:size], parts.held_out, means, named)
                journal.put(question, known)
                shutil.rmtree(folder / _FITS, ignore_errors=True)
            found[way].append(known)
            done += 1
    if progress is not None:
        progress(Progress("advise", done, total))
    return found


def _renamed(progress: ProgressCallback, stage: str) -> ProgressCallback:
    return lambda told: progress(Progress(stage, told.done, told.total, told.stage))


class _Journal:
    """What was measured, a line each in a JSON Lines file; one that a kill left half-written is passed over."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Measured] = {}
        for row in read_rows(file):
            try:
                row["measured"]["right"] = tuple(row["measured"]["right"])
                self._known[row["key"]] = Measured(**row["measured"])
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, question: list[Any]) -> Measured | None:
        return self._known.get(_key(question))

    def put(self, question: list[Any], measured: Measured) -> None:
        row = {"key": _key(question), "way": question[0], "size": question[1], "measured": asdict(measured)}
        with write_errors(self._file.parent):
            append_line(self._file, row)


def _key(question: list[Any]) -> str:
    return hashlib.sha256(json.dumps(question).encode()).hexdigest()


def _advice(
    measured: dict[str, list[Measured]], sizes: Sequence[int], parts: Parts, left_out: dict[str, str], seed: int
) -> Advice:
    """Return what was measured, compared."""
    last = {way: rows[-1] for way, rows in measured.items()}
    best = max(sorted(last, key=lambda way: last[way].predict_seconds), key=lambda way: sum(last[way].right))
    behind = {way: gain(_scores(one), _scores(last[best]), seed) for way, one in last.items()}
    good = [way for way in last if behind[way].low <= 0]
    least = min(last[way].predict_seconds for way in good)
    recommended = min(
        (way for way in good if last[way].predict_seconds <= _NEAR * least), key=lambda way: last[way].fit_seconds
    )
    curves: dict[str, Right] = {way: np.array([one.right for one in rows]) for way, rows in measured.items()}
    reports = tuple(
        WayReport(
            way,
            tuple(_point(size, one) for size, one in zip(sizes, rows, strict=True)),
            power_law(sizes, curves[way]),
            behind[way],
            behind[way].low > 0,
            None if way == recommended else crossing(sizes, curves[recommended], curves[way], seed),
        )
        for way, rows in measured.items()
    )
    one_point = gaining(sizes, curves[recommended], seed=seed)
    return Advice(
        recommended,
        best,
        reports,
        one_point,
        len(parts.train),
        len(parts.held_out),
        parts.labels,
        parts.unmeasured,
        parts.leaked,
        left_out,
    )


def _scores(measured: Measured) -> list[float]:
    return [float(right) for right in measured.right]


def _point(size: int, measured: Measured) -> Point:
    right, count = sum(measured.right), len(measured.right)
    low, high = wilson_interval(right, count)
    return Point(
        size,
        right / count,
        low,
        high,
        measured.fit_seconds,
        1000 * measured.predict_seconds / count,
        None if measured.dollars is None else 1000 * measured.dollars / count,
        measured.note,
    )
