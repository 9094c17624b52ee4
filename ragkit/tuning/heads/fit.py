"""Fits a head: frozen or fine-tuned embedder, regularisation, and comparison with the existing head."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ragkit._files import write_atomically
from ragkit._progress import Progress, ProgressCallback
from ragkit.embedding import Embedder, Vectors, open_embedder
from ragkit.errors import SettingsError, TaskError
from ragkit.records import Example
from ragkit.tasks.base import FILE_NAME, read_task, write_task
from ragkit.tasks.probe import LinearProbe
from ragkit.tuning.comparison import Estimate, gain
from ragkit.tuning.embedders.training import EmbedderOptions, TrainingReport
from ragkit.tuning.embedders.tuning import fingerprint, forget, tune_on_classes
from ragkit.tuning.heads.card import write_card
from ragkit.tuning.heads.classifier import KIND, TUNED, HeadSettings, cooled
from ragkit.tuning.heads.data import alike, digest, split, usable

log = logging.getLogger(__name__)
HELD_OUT = "held_out.jsonl"
_CANDIDATE = "candidate"
_FEWEST = 30
"""Minimum number of held-out examples shared with the existing head for a comparison (at most half of all); with fewer,
it is replaced."""
_TEMPERATURES = tuple(0.4 * 1.15**number for number in range(18))


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """Options for fitting a head."""

    tune: bool = True
    """Whether to also try a fine-tuned embedder."""
    embedder: str = "default"
    """Initial embedding model; see ``open_embedder``."""
    tuning: EmbedderOptions = field(default_factory=EmbedderOptions)
    strengths: tuple[float, ...] = (3.0, 10.0, 30.0)
    """Candidate inverses of the regularisation strength."""
    val_fraction: float = 0.1
    """Fraction of the examples to hold out for model selection, at most 2,000 examples."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction < 1 or not self.strengths or min(self.strengths) <= 0:
            raise SettingsError(
                "val_fraction must be between 0 and 1, and strengths a list of values > 0, "
                f"got val_fraction={self.val_fraction} and strengths={self.strengths}.",
                "Pass values in these ranges.",
            )


@dataclass(frozen=True, slots=True)
class HeadGain:
    """Gain of one head over another on the same held-out examples, by a paired bootstrap."""

    nats: Estimate
    """Gain in the log-probability of the correct label."""
    accuracy: Estimate

    @property
    def significant(self) -> bool:
        """Whether the gain in log-probability is significant, without a loss of accuracy.

        With a few hundred examples, few predictions change, so accuracy alone detects only large gains; the
        log-probability uses all examples.
        """
        return self.nats.low > 0 and self.accuracy.mean >= 0

    def summary(self) -> str:
        """Return the gain as text."""
        return (
            f"{_interval(self.nats)} nats in the log-probability of the correct label, {_interval(self.accuracy)} in "
            f"accuracy, on {self.nats.count:,} held-out examples"
        )


@dataclass(frozen=True, slots=True)
class HeadReport:
    """Report of a fit."""

    kept: Literal["tuned", "frozen", "old"]
    """Head that is now in the folder: with the fine-tuned embedder, with the frozen one, or the previous head."""
    why: str
    frozen: float
    """Held-out accuracy with the frozen embedder."""
    tuned: float | None
    """Held-out accuracy with the fine-tuned embedder; None if it was not fine-tuned."""
    tuning_gain: HeadGain | None
    """Gain of the fine-tuned embedder over the frozen one."""
    old_gain: HeadGain | None
    """Gain of the better of these over the previous head in the folder; None if there was none."""
    examples: int
    """Number of examples in the final fit, including held-out ones."""
    held_out: int
    leaked: int
    """Number of examples skipped as near-duplicates of the evaluation split."""
    training: TrainingReport | None
    seconds: dict[str, float]
    """Time of each stage."""


@dataclass(frozen=True, slots=True)
class _Head:
    """A candidate, fitted without the held-out examples."""

    strength: float
    temperature: float
    scores: tuple[tuple[float, float], ...]
    """For each held-out example, 1 if the prediction is correct, else 0, and the log-probability of the correct
    label."""

    @property
    def loss(self) -> float:
        return -float(np.mean([score for _, score in self.scores]))

    @property
    def accuracy(self) -> float:
        return float(np.mean([right for right, _ in self.scores]))


def fit_head(
    path: Path,
    examples: Iterable[Example],
    evaluation: Sequence[Example],
    options: HeadOptions,
    progress: ProgressCallback | None,
) -> HeadReport:
    """Fit a head into a folder; see ``HeadClassifier.fit``."""
    clock = _Clock()
    rows, base = usable(examples), open_embedder(options.embedder)
    with clock("embedding"):
        vectors = _embedded(base, rows, progress)
        tests = _embedded(base, evaluation, None)
    leaks = alike([e.input for e in rows], vectors, [e.input for e in evaluation], tests)
    rows, vectors = [row for row, leak in zip(rows, leaks, strict=True) if not leak], vectors[~leaks]
    labels = tuple(sorted({row.output for row in rows}))
    if len(labels) < 2:
        raise TaskError(
            f"A head needs 2 or more labels, got {len(labels)} with {len(rows)} examples after {int(leaks.sum())} "
            "near-duplicates of the evaluation split were removed.",
            "Add examples of other labels that are not in the evaluation split.",
        )
    gold = np.array([labels.index(row.output) for row in rows])
    own, held = split(rows, options.val_fraction, options.seed)
    if not held or len(set(gold[own].tolist())) < 2:
        raise TaskError(f"{len(rows)} examples are too few to hold some out.", "Pass several examples of each label.")
    twice = alike([rows[n].input for n in own], vectors[own], [rows[n].input for n in held], vectors[held])
    own = [number for number, same in zip(own, twice, strict=True) if not same]
    with clock("head"):
        frozen = _chosen(vectors, gold, own, held, len(labels), options.strengths)
    tuned = training = embedder = gained = None
    best, best_vectors = frozen, vectors
    candidate = path / _CANDIDATE
    if options.tune:
        with clock("training"):
            start = LinearProbe.fit(vectors[own], gold[own].tolist(), len(labels), frozen.strength)
            training = _trained(candidate, [rows[n] for n in own], gold[own].tolist(), start, options, progress)
        with clock("embedding tuned"):
            embedder = open_embedder(candidate / TUNED)
            tuned_vectors = _embedded(embedder, rows, progress)
        with clock("head"):
            tuned = _chosen(tuned_vectors, gold, own, held, len(labels), options.strengths)
        gained = _gain(frozen.scores, tuned.scores)
        if gained.significant:
            best, best_vectors = tuned, tuned_vectors
    is_tuned = best is tuned
    names = [digest(f"{rows[n].output}\t{rows[n].input}") for n in held]
    scores = dict(zip(names, best.scores, strict=True))
    over_old = _over_old(path, labels, scores)
    kept, why = _decided(is_tuned, gained, over_old)
    report = HeadReport(
        kept,
        why,
        frozen.accuracy,
        None if tuned is None else tuned.accuracy,
        gained,
        over_old,
        len(rows),
        len(held),
        int(leaks.sum()),
        training,
        clock.seconds,
    )
    if kept != "old":
        with clock("head"):
            probe = LinearProbe.fit(best_vectors, gold.tolist(), len(labels), best.strength)
        data = fingerprint([f"{row.output}\t{row.input}" for row in rows])
        version = f"v-{1 + max((int(old.name[2:]) for old in path.glob('v-*')), default=0)}"
        _put(path, version, candidate if is_tuned else None, probe)
        lines = [json.dumps({"example": name, "scores": one}) + "\n" for name, one in scores.items()]
        write_atomically(path / HELD_OUT, "".join(lines).encode())
        settings = HeadSettings(labels, version, options.embedder, is_tuned, best.temperature, best.strength)
        write_task(path, KIND, settings)
        write_card(path, settings, report, options, data, base.model_id)
        for old in path.glob("v-*"):
            if old.name != version:
                shutil.rmtree(old)
    shutil.rmtree(candidate, ignore_errors=True)
    if embedder is not None and kept != "tuned":
        forget(embedder)
    return report


class _Clock:
    """Measures the time of stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begun


def _embedded(embedder: Embedder, rows: Sequence[Example], progress: ProgressCallback | None) -> Vectors:
    parts = [np.zeros((0, embedder.dimension), dtype=np.float32)]
    for start in range(0, len(rows), 256):
        parts.append(embedder.embed([row.input for row in rows[start : start + 256]], "query"))
        if progress is not None:
            progress(Progress("embedding", min(start + 256, len(rows)), len(rows)))
    return np.concatenate(parts)


def _chosen(
    vectors: Vectors,
    gold: NDArray[np.int64],
    own: Sequence[int],
    held: Sequence[int],
    count: int,
    strengths: Sequence[float],
) -> _Head:
    """Return the strength and temperature with the lowest held-out loss."""
    found: list[_Head] = []
    numbers = np.arange(len(held))
    for strength in strengths:
        logs = LinearProbe.fit(vectors[own], gold[own].tolist(), count, strength).log_probabilities(vectors[held])
        cool = {warm: cooled(logs, warm)[numbers, gold[held]] for warm in _TEMPERATURES}
        warm = max(cool, key=lambda one: float(cool[one].mean()))
        right = (logs.argmax(axis=1) == gold[held]).astype(float)
        found.append(_Head(strength, warm, tuple(zip(right.tolist(), cool[warm].tolist(), strict=True))))
    return min(found, key=lambda head: head.loss)


def _gain(before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]) -> HeadGain:
    rights, nats = zip(*before, strict=True)
    new_rights, new_nats = zip(*after, strict=True)
    return HeadGain(gain(nats, new_nats), gain(rights, new_rights))


def _trained(
    candidate: Path,
    rows: Sequence[Example],
    gold: Sequence[int],
    start: LinearProbe,
    options: HeadOptions,
    progress: ProgressCallback | None,
) -> TrainingReport:
    """Fine-tune the embedder into a folder, or reuse the result of an interrupted fit."""
    mark = candidate / "trained.json"
    name = fingerprint([f"{row.output}\t{row.input}" for row in rows], str(options))
    try:
        done = json.loads(mark.read_text(encoding="utf-8"))
        if done.pop("name") == name and (candidate / TUNED).is_dir():
            return TrainingReport(**done)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    inputs = [row.input for row in rows]
    report = tune_on_classes(inputs, gold, candidate / TUNED, start, options.embedder, options.tuning, progress)
    kept = {slot: getattr(report, slot) for slot in TrainingReport.__slots__}
    write_atomically(mark, json.dumps({"name": name, **kept}).encode())
    return report


def _over_old(path: Path, labels: Sequence[str], scores: Mapping[str, tuple[float, float]]) -> HeadGain | None:
    """Return the gain of the new head over the one in the folder, if they can be compared.

    Both were measured on held-out examples before the final fit.
    """
    try:
        if not (path / FILE_NAME).exists() or tuple(read_task(path, KIND, HeadSettings).labels) != tuple(labels):
            return None
        lines = map(json.loads, (path / HELD_OUT).read_text(encoding="utf-8").splitlines())
        old = {line["example"]: (float(line["scores"][0]), float(line["scores"][1])) for line in lines}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        log.warning("the head in %s is not readable: the new one is not compared with it", path, exc_info=True)
        return None
    shared = [name for name in scores if name in old]
    if len(shared) < min(_FEWEST, len(scores) / 2):
        return None
    return _gain([old[name] for name in shared], [scores[name] for name in shared])


def _decided(
    is_tuned: bool, gained: HeadGain | None, over_old: HeadGain | None
) -> tuple[Literal["tuned", "frozen", "old"], str]:
    if over_old is not None and not over_old.significant:
        return "old", f"The existing head stays in use; the gain over it is not significant: {over_old.summary()}."
    instead = "" if over_old is None else f" It replaces the existing head: {over_old.summary()}."
    if gained is None:
        return "frozen", f"The frozen embedder is used.{instead}"
    if is_tuned:
        return "tuned", f"The fine-tuned embedder is used, with a gain of {gained.summary()}.{instead}"
    return "frozen", (
        f"The frozen embedder is used; the gain from fine-tuning is not significant: {gained.summary()}.{instead}"
    )


def _interval(gained: Estimate) -> str:
    return f"{gained.mean:+.4f} ({gained.low:+.4f} to {gained.high:+.4f})"


def _put(path: Path, version: str, candidate: Path | None, probe: LinearProbe) -> None:
    """Write a version's files into its folder; it is not in use before the settings refer to it."""
    folder = path / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if candidate is not None:
        (candidate / TUNED).rename(folder / TUNED)
    probe.save(folder)
