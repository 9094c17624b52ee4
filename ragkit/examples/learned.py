"""A selector that learns from a model which examples help."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, JsonValue, ValidationError, model_validator

from ragkit._files import write_atomically
from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import ExamplePoolError, QueryError, SettingsError
from ragkit.examples.candidates import CandidateSearch
from ragkit.examples.gain_log import GainLog
from ragkit.examples.pool import ExamplePool
from ragkit.examples.ranking import Ranker, RankerReport, train
from ragkit.examples.selector import DynamicSelector, SelectorOptions
from ragkit.examples.signals import NAMES, SIGNALS, Candidates, Floats, describe
from ragkit.indexing import Filter
from ragkit.indexing.filter_json import from_json, to_json
from ragkit.records import Example, Hit

Gain = Callable[[Example, Sequence[Example]], Sequence[float]]
"""For a query and candidates, the gain in log-probability of the query's right output from each candidate. NaN for a
candidate that can't be shown."""
_CANDIDATE = "candidate"
_PROBED = 20


class LearnedSelector(DynamicSelector):
    """Ranks the candidates of a ``DynamicSelector`` by their expected gain.

    The gains were measured with a model: on inputs of the pool, the increase in log-probability of the right answer
    due to each candidate; a light ranker predicts that for new inputs. Choosing calls no model but the pool's embedder.
    After Rubin, Herzig and Berant, *Learning to retrieve prompts for in-context learning*, arXiv:2112.08633, with a
    ridge regression instead of a trained encoder.

    Made by ``fit`` or ``open``.
    """

    def __init__(
        self,
        pool: ExamplePool,
        ranker: Ranker,
        report: RankerReport,
        options: SelectorOptions | None = None,
        where: Filter | str | None = None,
    ) -> None:
        super().__init__(pool, options or SelectorOptions(), where)
        self.ranker = ranker
        self.report = report
        """Accuracy on queries that were not used for training."""

    @classmethod
    def fit(
        cls,
        pool: ExamplePool,
        gain: Gain,
        *,
        queries: int = 200,
        candidates: int = 16,
        options: SelectorOptions | None = None,
        seed: int = 0,
        log: str | Path | None = None,
        where: Filter | str | None = None,
        progress: ProgressCallback | None = None,
    ) -> Self:
        """Measure gains with a model, and train a ranker on them.

        Args:
            pool: pool of the queries and the candidates; the leakage guard is on.
            gain: asks a model, such as ``ragkit.tasks.gains.model_gain``; called once a query.
            queries: number of queries; all examples if the pool has fewer.
            candidates: candidates of each query, for which gains are asked: half of them the first, half drawn from the
                other ``options.candidates``, so that the ranker knows all that it will put in order.
            options: options for the candidates, for choosing a set once they are ranked, and for its order.
            seed: random seed of what is drawn.
            log: a JSON Lines file that keeps the gains; an interrupted fit resumes from there.
            where: only examples whose fields match are candidates.
            progress: called with a ``Progress`` after each query.

        Raises:
            ExamplePoolError: if the pool is empty or too small to learn from, or the log is another one's.
            SettingsError: if a number is out of range, or ``gain`` does not return one gain per candidate.
        """
        options = options or SelectorOptions()
        if queries < 1 or not 2 <= candidates <= options.candidates:
            raise SettingsError(
                f"queries must be >= 1, and candidates between 2 and SelectorOptions.candidates={options.candidates}, "
                f"got queries={queries} and candidates={candidates}.",
                "Pass values in these ranges.",
            )
        if not len(pool):
            raise ExamplePoolError("The pool is empty.", "Add examples: pool.add([...])")
        source = _Source(pool, replace(options, exclude_self=True), where)
        kept = GainLog(
            log,
            {
                "embedder": pool.index.embedder.model_id,
                "options": asdict(source.options),
                "candidates": candidates,
                "seed": seed,
            },
        )
        # More queries with the same seed are those of before and further ones.
        drawn = np.random.default_rng(seed).permutation(pool.index.keys(first=True))[:queries].tolist()
        trials: list[tuple[Candidates, Floats]] = []
        for done, (chunk, info) in enumerate(pool.index.chunks(drawn), 1):
            query = pool.example(info, chunk)
            hits = source.hits(query.input)
            if len(hits) > 1:
                asked = _spread(len(hits), candidates, np.random.default_rng([seed, chunk.key]))
                described = _described(source.search, query.input, hits).some(asked)
                gains = kept.gains(info.id, described.keys)
                if gains is None:
                    gains = _gains(gain, query, [pool.example(hits[n].document, hits[n].chunk) for n in asked])
                    kept.add(info.id, described.keys, gains)
                trials.append((described, np.array(gains, dtype=np.float64)))
            if progress is not None:
                progress(Progress("gains", done, len(drawn), query.input[:60]))
        ranker, report = train(trials, seed)
        return cls(pool, ranker, report, options, where)

    @classmethod
    def open(cls, path: str | Path, pool: ExamplePool | None = None) -> Self:
        """Open a saved selector.

        Args:
            path: path of the file.
            pool: the pool that it was fitted on, to which examples may have been added; by default, the pool at its
                recorded path.

        Raises:
            ExamplePoolError: if the file is missing, damaged or of another format, or the pool is a different one.
            StoreError: if the pool is gone.
        """
        file = Path(path)
        try:
            saved = _Saved.model_validate_json(file.read_bytes())
            where = None if saved.where is None else from_json(saved.where)
        except FileNotFoundError as error:
            raise ExamplePoolError(f"There is no file {file}.", "Save a selector there: selector.save(path)") from error
        except (OSError, ValidationError, SettingsError, QueryError) as error:
            raise ExamplePoolError(
                f"{file} contains no learned selector that can be read: {_first_line(error)}.",
                "Fit it again, and save it: LearnedSelector.fit(...).save(path)",
            ) from error
        opened = pool if pool is not None else ExamplePool.open(file.resolve().parent / saved.pool)
        try:
            _check_pool(file, saved, opened)
        except ExamplePoolError:
            if pool is None:
                opened.close()
            raise
        ranker = Ranker(
            np.array(saved.weights),
            np.array(saved.centre),
            np.array(saved.axes).reshape(-1, len(saved.centre)),
            saved.helped,
            saved.output_helped,
        )
        return cls(opened, ranker, saved.report, saved.options, where)

    def save(self, path: str | Path) -> None:
        """Write the selector to a JSON file, atomically.

        The path of the pool is stored relative to the file, so that both can be moved together.
        """
        ranker, file = self.ranker, Path(path)
        saved = _Saved(
            format="ragkit learned selector 1",
            embedder=self.pool.index.embedder.model_id,
            signals=SIGNALS,
            options=self.options,
            where=None if self.where is None else to_json(self.where),
            pool=os.path.relpath(self.pool.index.path.resolve(), file.resolve().parent),
            report=self.report,
            weights=ranker.weights.tolist(),
            centre=ranker.centre.tolist(),
            axes=ranker.axes.tolist(),
            helped=dict(ranker.helped),
            output_helped=dict(ranker.output_helped),
        )
        write_atomically(file, saved.model_dump_json().encode())

    def _candidates(self, text: str, wanted: int) -> list[Hit]:
        hits = super()._candidates(text, max(wanted, self.options.candidates))
        if not hits:
            return hits
        scores, parts = self.ranker.scores(_described(self.search, text, hits))
        order = np.argsort(-scores, kind="stable")[:wanted]
        return [
            replace(
                hits[n],
                score=float(scores[n]),
                scores={_CANDIDATE: hits[n].score, **dict(zip(NAMES, parts[n].tolist(), strict=True))},
            )
            for n in order
        ]

    def _reason(self, hit: Hit) -> str:
        helps = NAMES[max(NAMES, key=lambda name: hit.scores[name])]
        found = super()._reason(replace(hit, score=hit.scores[_CANDIDATE]))
        return f"expected gain {hit.score:+.2f}: {helps}; {found}"


class _Source(DynamicSelector):
    """The candidates of a query before they are ranked."""

    def hits(self, text: str) -> list[Hit]:
        return self._candidates(text, self.options.candidates)


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["ragkit learned selector 1"]
    embedder: str
    signals: tuple[str, ...]
    options: SelectorOptions
    where: JsonValue
    pool: str
    report: RankerReport
    weights: list[FiniteFloat]
    centre: list[FiniteFloat]
    axes: list[list[FiniteFloat]]
    helped: dict[str, FiniteFloat]
    output_helped: dict[str, FiniteFloat]

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        if self.signals != SIGNALS or len(self.weights) != len(SIGNALS) + len(self.axes):
            raise ValueError("its signals differ from those of this version")
        if any(len(axis) != len(self.centre) for axis in self.axes):
            raise ValueError("its axes and its centre have different dimensions")
        return self


def _check_pool(file: Path, saved: _Saved, pool: ExamplePool) -> None:
    embedder = pool.index.embedder
    if saved.embedder != embedder.model_id or len(saved.centre) != embedder.dimension:
        raise ExamplePoolError(
            f"{file} was learned with vectors of {saved.embedder}, and the pool's are of {embedder.model_id}.",
            "Open it with the pool that it was fitted on, or fit it again.",
        )
    probed = list(saved.helped)[:: max(1, len(saved.helped) // _PROBED)]
    missing = sum(not _has(pool, key) for key in probed)
    if 2 * missing > len(probed):
        raise ExamplePoolError(
            f"{file} was learned from another pool: {missing} of {len(probed)} of its examples are not in this one.",
            "Open it with the pool that it was fitted on, or fit it again.",
        )


def _has(pool: ExamplePool, key: str) -> bool:
    try:
        pool.index.document(key)
    except QueryError:
        return False
    return True


def _described(search: CandidateSearch, text: str, hits: Sequence[Hit]) -> Candidates:
    return describe(text, hits, search.asked(text).vector, search.pool.index.vectors([hit.chunk for hit in hits]))


def _gains(gain: Gain, query: Example, candidates: Sequence[Example]) -> list[float]:
    gains = [float(value) for value in gain(query, candidates)]
    if len(gains) != len(candidates) or any(abs(value) == np.inf for value in gains):
        raise SettingsError(
            f"gain gave {gains} for {len(candidates)} candidates of {query.input[:60]!r}.",
            "It has to return a finite number for each candidate, or NaN for one that can't be shown.",
        )
    return gains


def _spread(count: int, wanted: int, random: np.random.Generator) -> list[int]:
    """Return numbers below ``count``: half of those wanted from the beginning, the others drawn from what is left."""
    first = min(count, (wanted + 1) // 2)
    rest = np.arange(first, count)
    drawn = random.choice(rest, min(len(rest), wanted - first), replace=False)
    return [*range(first), *sorted(int(n) for n in drawn)]


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
    return str(error).splitlines()[0]
