"""Finds a head: frozen or tuned embedder, how strong, and whether it is better than the one before."""

from __future__ import annotations

import json
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
from ragkit.tuning.embedder import fingerprint, forget, tune_on_classes
from ragkit.tuning.embedder_training import EmbedderOptions, TrainingReport
from ragkit.tuning.head import KIND, TUNED, HeadSettings, cooled
from ragkit.tuning.head_card import write_card
from ragkit.tuning.head_data import alike, digest, split, usable

HELD_OUT = "held_out.jsonl"
_CANDIDATE = "candidate"
_FEWEST = 30
"""Held-out examples that an older head was measured on too, below which it is not compared but replaced; of few in all,
half of them."""
_TEMPERATURES = tuple(0.4 * 1.15**number for number in range(18))


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """How a head is fitted."""

    tune: bool = True
    """Try the fine-tuned embedder too; else the frozen one only."""
    embedder: str = "default"
    """The model to start from; see ``open_embedder``."""
    tuning: EmbedderOptions = field(default_factory=EmbedderOptions)
    strengths: tuple[float, ...] = (3.0, 10.0, 30.0)
    """Inverses of the regularisation to choose from."""
    held_out: float = 0.1
    """The share of the examples that choosing and comparing is done on, of 2,000 at most."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1 or not self.strengths or min(self.strengths) <= 0:
            raise SettingsError(
                f"held_out={self.held_out} and strengths={self.strengths} can't be.",
                "Give a share between 0 and 1, and one strength above 0 or more.",
            )


@dataclass(frozen=True, slots=True)
class HeadGain:
    """What one head gains over another on the same held-out examples, by a paired bootstrap."""

    nats: Estimate
    """Of the log-probability of the right label."""
    accuracy: Estimate

    @property
    def shown(self) -> bool:
        """Whether right labels have become likelier by more than luck, and not fewer of them are right.

        Of some hundred examples few change sides, so that accuracy alone tells small gains from luck only late; the
        log-probability tells of all of them.
        """
        return self.nats.low > 0 and self.accuracy.mean >= 0

    def told(self) -> str:
        """Return it in words."""
        return (
            f"{_told(self.nats)} nats of the right label's log-probability, {_told(self.accuracy)} of accuracy on "
            f"{self.nats.count:,} held-out examples"
        )


@dataclass(frozen=True, slots=True)
class HeadReport:
    """What a fit found."""

    kept: Literal["tuned", "frozen", "old"]
    """What the folder holds now: the tuned embedder, the frozen one, or what it held before."""
    why: str
    frozen: float
    """The accuracy on the held-out examples of a head on the frozen embedder."""
    tuned: float | None
    """Of one on the tuned embedder; None where none was tuned."""
    tuning_gain: HeadGain | None
    """What tuning gained over the frozen embedder."""
    old_gain: HeadGain | None
    """What the better of these gained over the head that the folder held before; None where there was none."""
    examples: int
    """Learned from in the end, the held-out ones included."""
    held_out: int
    leaked: int
    """Examples left out because they stand in the evaluation split, or nearly."""
    training: TrainingReport | None
    seconds: dict[str, float]
    """By stage."""


@dataclass(frozen=True, slots=True)
class _Head:
    """A candidate as it was measured: fitted without the held-out examples."""

    strength: float
    temperature: float
    scores: tuple[tuple[float, float], ...]
    """For each held-out example whether it is right, 1 or 0, and its own label's log-probability."""

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
            f"{len(rows)} examples of {len(labels)} label are left to learn from, {int(leaks.sum())} leaked.",
            "Give examples of two labels or more that are not in the evaluation split.",
        )
    gold = np.array([labels.index(row.output) for row in rows])
    own, held = split(rows, options.held_out, options.seed)
    if not held or len(set(gold[own].tolist())) < 2:
        raise TaskError(f"{len(rows)} examples are too few to hold some out.", "Give several of each label.")
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
        if gained.shown:
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
    """Adds up the seconds of stages."""

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
    """Return the strength and temperature that make the right labels of held-out rows likeliest."""
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
    """Fine-tune the embedder into a folder, or take up what an interrupted fit has trained there."""
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
    """Return what the new head gains over the one in the folder, where they can be compared.

    Both were measured on held-out examples before these were learned from.
    """
    try:
        if not (path / FILE_NAME).exists() or tuple(read_task(path, KIND, HeadSettings).labels) != tuple(labels):
            return None
        lines = map(json.loads, (path / HELD_OUT).read_text(encoding="utf-8").splitlines())
        old = {line["example"]: (float(line["scores"][0]), float(line["scores"][1])) for line in lines}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    shared = [name for name in scores if name in old]
    if len(shared) < min(_FEWEST, len(scores) / 2):
        return None
    return _gain([old[name] for name in shared], [scores[name] for name in shared])


def _decided(
    is_tuned: bool, gained: HeadGain | None, over_old: HeadGain | None
) -> tuple[Literal["tuned", "frozen", "old"], str]:
    if over_old is not None and not over_old.shown:
        return "old", f"The head that was there stays, as a gain over it is not shown: {over_old.told()}."
    instead = "" if over_old is None else f" It replaces the one before: {over_old.told()}."
    if gained is None:
        return "frozen", f"The embedder is used as it is.{instead}"
    if is_tuned:
        return "tuned", f"The embedder was tuned, which gained: {gained.told()}.{instead}"
    return "frozen", f"The embedder is used as it is, as a gain from tuning it is not shown: {gained.told()}.{instead}"


def _told(gained: Estimate) -> str:
    return f"{gained.mean:+.4f} ({gained.low:+.4f} to {gained.high:+.4f})"


def _put(path: Path, version: str, candidate: Path | None, probe: LinearProbe) -> None:
    """Put a version's files into its folder; nothing reads them before the settings name it."""
    folder = path / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if candidate is not None:
        (candidate / TUNED).rename(folder / TUNED)
    probe.save(folder)
