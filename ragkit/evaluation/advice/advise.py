"""Few-shot prompt, head or LoRA: measures each method on a task's examples, and recommends one."""

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
from ragkit.evaluation.advice.curves import Forecast, PowerLaw, Right, crossing, gaining, power_law
from ragkit.evaluation.advice.data import Parts, parted
from ragkit.evaluation.advice.methods import METHODS, Measured, Resources, measure
from ragkit.indexing.database import write_errors
from ragkit.indexing.writing import writer_lock
from ragkit.records import Example
from ragkit.tasks.base import as_model, close_model
from ragkit.tuning.comparison import Estimate, gain

if TYPE_CHECKING:
    from ragkit.models import ChatModel

_JOURNAL = "advice.jsonl"
_FITS = "fits"
_NEAR = 2.0
"""Times that differ by less than this factor count as equal, because of other load on the machine."""
_TUNING = ("transformers", "torch")


@dataclass(frozen=True, slots=True)
class Point:
    """Result of a method with one training set size."""

    examples: int
    accuracy: float
    """Accuracy on the held-out examples."""
    low: float
    """Lower end of its 95 % confidence interval (Wilson)."""
    high: float
    fit_seconds: float
    seconds_per_thousand: float
    """Time for 1,000 inputs in one batch, on this machine."""
    dollars_per_thousand: float | None
    """Cost of 1,000 inputs; 0 for local models, None if the price is unknown."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class MethodReport:
    """Results of a method."""

    method: str
    points: tuple[Point, ...]
    """Results by training set size, in ascending order; the last is for all examples."""
    curve: PowerLaw | None
    """Learning curve fitted to the points; None for fewer than three."""
    behind: Estimate
    """Accuracy gain of the most accurate method over this one, with the 95 % interval of a paired bootstrap."""
    worse: bool
    """Whether this gain is significant: the entire interval is above 0."""
    overtakes: Forecast | None
    """Training set size at which it overtakes the recommended method; None for that method itself."""

    @property
    def full(self) -> Point:
        """Result with all examples."""
        return self.points[-1]


@dataclass(frozen=True, slots=True)
class Advice:
    """Recommendation, with the measurements behind it."""

    recommended: str
    """Recommended method: the cheapest one that is not significantly worse than the most accurate, by prediction time,
    and among those within twice the shortest, by fit time."""
    most_accurate: str
    methods: tuple[MethodReport, ...]
    one_point: Forecast
    """Training set size at which the recommended method gains 0.01 of accuracy."""
    examples: int
    """Number of training examples."""
    held_out: int
    labels: int
    unmeasured: tuple[str, ...]
    """Labels without held-out examples."""
    leaked: int
    """Number of training examples excluded as duplicates or near-duplicates of held-out ones."""
    left_out: dict[str, str]
    """Ways that were not measured, with the reason."""

    def of(self, method: str) -> MethodReport:
        """Return the report of a method."""
        return next(report for report in self.methods if report.method == method)

    @property
    def words(self) -> tuple[str, ...]:
        """Sentences that summarise the advice."""
        from ragkit.evaluation.advice.words import words

        return words(self)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values, including the sentences."""
        return {**asdict(self), "words": list(self.words)}


def advise(
    examples: Iterable[Example],
    methods: Sequence[str] = (),
    *,
    held_out: int | None = None,
    sizes: Sequence[int] = (),
    seed: int = 0,
    model: ChatModel | str | None = None,
    embedder: str = "default",
    max_calls: int = 200,
    head_seconds: float = 60.0,
    lora_minutes: float | None = None,
    threads: int = 0,
    work: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Advice:
    """Measure each classification method on held-out examples, and recommend one.

    Each is fitted to nested subsets of the other examples, which shows the value of more labels. Measurements are
    stored in the work folder: if interrupted, the same call continues.

    Args:
        examples: inputs with their labels, at least two labels with five examples each.
        methods: some of ``METHODS``; by default all that are available: ``tuned-head`` with the extra ``tune``,
            ``lora`` if ``lora_minutes`` is set.
        held_out: number of test examples; by default a quarter, at most 500.
        sizes: training set sizes in addition to all examples; by default a quarter and half.
        seed: random seed.
        model: model for ``examples``, or its name.
        embedder: embedding model; see ``open_embedder``.
        max_calls: maximum model calls for each fit of ``examples``.
        head_seconds: maximum training time for each fit of ``tuned-head``.
        lora_minutes: maximum training time for each fit of ``lora``.
        threads: threads of the model tuned by ``lora`` at prediction; 0 for all cores.
        work: folder for measurements; by default a temporary one.
        progress: called after each step; the stage ``advise`` counts fits, other stages are named after method and
            size.

    Raises:
        ExamplePoolError: if there are too few examples.
        SettingsError: if a method is unknown, or a number is out of range.
        MissingExtraError: if a requested method needs a package that is not installed.
        IndexLockedError: if another process uses the work folder.
        RagkitError: if a method can't be fitted.
    """
    chosen, left_out = _chosen(methods, lora_minutes)
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
        resources = Resources(opened, embedder, max_calls, head_seconds, lora_minutes, threads=threads, seed=seed)
        measured = _measured(chosen, parts, steps, resources, folder, progress)
    return _advice(measured, steps, parts, left_out, seed)


def _chosen(methods: Sequence[str], lora_minutes: float | None) -> tuple[list[str], dict[str, str]]:
    """Return the methods to measure, and why others are skipped."""
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise SettingsError(f"Unknown method {unknown[0]!r}.", f"Legal values: {', '.join(METHODS)}.")
    if "lora" in methods and lora_minutes is None:
        raise SettingsError("lora needs a training time.", "Pass lora_minutes, or use --lora-minutes 5")
    missing = next((name for name in _TUNING if find_spec(name) is None), None)
    lacking = next((name for name in (*_TUNING, "peft", "accelerate") if find_spec(name) is None), None)
    if missing and "tuned-head" in methods:
        raise MissingExtraError(missing, "tune", "to fine-tune an embedder")
    if lacking and lora_minutes is not None and ("lora" in methods or not methods):
        raise MissingExtraError(lacking, "tune", "to tune a model")
    left_out: dict[str, str] = {}
    if not methods and missing:
        left_out["tuned-head"] = f"{missing} is not installed: pip install 'ragkit[tune]'"
    if not methods and lora_minutes is None:
        left_out["lora"] = "no training time was specified: --lora-minutes 5"
    return [method for method in METHODS if method in methods or (not methods and method not in left_out)], left_out


def _measured(
    methods: Sequence[str],
    parts: Parts,
    sizes: Sequence[int],
    resources: Resources,
    folder: Path,
    progress: ProgressCallback | None,
) -> dict[str, list[Measured]]:
    """Return the result of each method at each size, from the journal or by fitting it."""
    journal = _Journal(folder / _JOURNAL)
    shutil.rmtree(folder / _FITS, ignore_errors=True)
    found: dict[str, list[Measured]] = {method: [] for method in methods}
    total, done = len(methods) * len(sizes), 0
    for method in methods:
        for size in sizes:
            stage = f"{method} {size}"
            if progress is not None:
                progress(Progress("advise", done, total, stage))
            question = [method, size, resources.seed, parts.data, resources.of(method)]
            known = journal.get(question)
            if known is None:
                # An interrupted fit starts over, because its total time is reported.
                place = folder / _FITS / stage.replace(" ", "-")
                named = None if progress is None else _renamed(progress, stage)
                known = measure(method, place, parts.train[:size], parts.held_out, resources, named)
                journal.put(question, known)
                shutil.rmtree(folder / _FITS, ignore_errors=True)
            found[method].append(known)
            done += 1
    if progress is not None:
        progress(Progress("advise", done, total))
    return found


def _renamed(progress: ProgressCallback, stage: str) -> ProgressCallback:
    return lambda told: progress(Progress(stage, told.done, told.total, told.stage))


class _Journal:
    """Measurements in a JSON Lines file; a truncated last line is ignored."""

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
        row = {"key": _key(question), "method": question[0], "size": question[1], "measured": asdict(measured)}
        with write_errors(self._file.parent):
            append_line(self._file, row)


def _key(question: list[Any]) -> str:
    return hashlib.sha256(json.dumps(question).encode()).hexdigest()


def _advice(
    measured: dict[str, list[Measured]], sizes: Sequence[int], parts: Parts, left_out: dict[str, str], seed: int
) -> Advice:
    """Return the comparison of the measurements."""
    last = {method: rows[-1] for method, rows in measured.items()}
    best = max(
        sorted(last, key=lambda method: last[method].predict_seconds), key=lambda method: sum(last[method].right)
    )
    behind = {method: gain(_scores(one), _scores(last[best]), seed) for method, one in last.items()}
    good = [method for method in last if behind[method].low <= 0]
    least = min(last[method].predict_seconds for method in good)
    recommended = min(
        (method for method in good if last[method].predict_seconds <= _NEAR * least),
        key=lambda method: last[method].fit_seconds,
    )
    curves: dict[str, Right] = {method: np.array([one.right for one in rows]) for method, rows in measured.items()}
    reports = tuple(
        MethodReport(
            method,
            tuple(_point(size, one) for size, one in zip(sizes, rows, strict=True)),
            power_law(sizes, curves[method]),
            behind[method],
            behind[method].low > 0,
            None if method == recommended else crossing(sizes, curves[recommended], curves[method], seed),
        )
        for method, rows in measured.items()
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
