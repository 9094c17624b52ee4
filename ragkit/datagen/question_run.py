"""One run of question generation: the candidates of an index, their questions as rows, and the gates' decisions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from ragkit.datagen.candidates import Candidate, candidates
from ragkit.datagen.composed import MULTI_HOP
from ragkit.datagen.gates import (
    Calibration,
    Gate,
    QualityGate,
    RetrievalGate,
    RowReader,
    apply,
    calibrate,
    standard_gates,
)
from ragkit.datagen.gates.both_passages import BothPassagesGate
from ragkit.datagen.ledger import Ledger, digest
from ragkit.datagen.question_writer import Context, Draft, QuestionWriter, check_writes, fault
from ragkit.datagen.review import MIN_LABELS, Review, current_reviews, labelled, reviewed
from ragkit.datagen.rows import DataRow, Decision, Generator, TextSpan
from ragkit.documents import file_sha256
from ragkit.errors import DataError
from ragkit.models.base import ChatModel
from ragkit.records import Message

if TYPE_CHECKING:
    from ragkit.indexing import Index
    from ragkit.records import Chunk, DocumentInfo

QUESTION: Final = "question"
"""Name of the stage, and of the gate that rejects unusable replies."""
_UNRECORDED = frozenset({"form", "self-contained", "specific words", "retrieval", "duplicates", "quality"})
"""Gates that call no model, or depend on other rows and documents. They are applied again in each run."""
_CHECKED = 5
"""Questions after which a model that writes nothing is reported."""
CALIBRATED = 100
"""Candidates whose questions calibrate the gates."""


@dataclass(frozen=True, slots=True)
class QuestionOptions:
    """Options of ``generate_questions``."""

    number: int = 100
    """Questions to deliver, each with an answer in one passage."""
    per_chunk: int = 8
    """Maximum number of candidate answers per passage."""
    variants: int = 2
    """Maximum number of questions per answer; the next one is tried if the gates reject the one before."""
    context: Context = "auto"
    """Context shown to the model; see ``QuestionWriter``."""
    retriever_rows: bool = False
    """Keep questions whose passage is among the first ten hits, not only the first."""
    multi_hop: int = 0
    """Further rows that need two passages."""
    follow_ups: int = 0
    """Further rows that continue a conversation."""
    unanswerable: int = 0
    """Further rows that the documents do not answer."""
    calibrate: bool = False
    """Fit the weights of the gates on planted corruptions, and reject rows by their sum. Always done once people have
    kept and rejected 30 rows each; their decisions are then used as well."""
    val_fraction: float = 0.1
    """Fraction of the documents whose rows are in the split ``val``."""
    license: str = ""
    """License of the documents."""

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("number", "multi_hop", "follow_ups", "unanswerable")}
        for name, value in counts.items():
            if value < 0:
                raise DataError(f"{name} must be >= 0, got {value}.", f"Use {name}=0 for none.")
        if self.per_chunk < 1 or self.variants < 1 or not 0 <= self.val_fraction < 1:
            raise DataError(
                f"per_chunk and variants must be >= 1 and val_fraction in [0, 1), got {self.per_chunk}, "
                f"{self.variants} and {self.val_fraction}.",
                "Use the defaults.",
            )


@dataclass(frozen=True, slots=True)
class Unit:
    """A candidate answer of a passage."""

    chunk: Chunk
    info: DocumentInfo
    candidate: Candidate

    @property
    def heading(self) -> str:
        """Title of the document and headings of the passage."""
        return self.chunk.header or " > ".join(self.chunk.heading_path)


def units_of_index(index: Index, options: QuestionOptions) -> list[Unit]:
    """Return the candidate answers of all passages: some of each passage, then the next ones of each, and so on.

    Passages are in an order that depends on their texts, so that the first ones are spread over all documents. Each
    turn takes as many candidates of a passage as are needed anyway, so that a model evaluates the passage once.
    """
    chunks = {_item(chunk): chunk for chunk in index.each_chunk()}
    infos = {info.id: info for info in index.documents()}
    found: list[list[Unit]] = []
    for item in sorted(chunks):
        chunk = chunks[item]
        if chunk.document_id in infos:
            ones = candidates(chunk.text, chunk.header)[: options.per_chunk]
            found.append([Unit(chunk, infos[chunk.document_id], one) for one in ones])
    filled = sum(map(bool, found))
    at_once = max(1, min(options.per_chunk, options.number // max(1, filled)))
    starts = range(0, options.per_chunk, at_once)
    return [unit for start in starts for units in found for unit in units[start : start + at_once]]


@dataclass(slots=True)
class QuestionRun:
    """Writes and decides rows, with the ledger."""

    index: Index
    model: ChatModel
    ledger: Ledger
    options: QuestionOptions
    reader: ChatModel
    own_gates: Sequence[Gate] | None
    writer: QuestionWriter = field(init=False)
    generator: Generator = field(init=False)
    gates: list[Gate] = field(init=False)
    _recorded_gates: frozenset[str] = field(init=False)
    """Names of the gates that call a model; their decisions are recorded."""
    _composed_gates: list[Gate] = field(default_factory=list)
    """Further gates for rows that need two passages."""
    _drafts: list[Draft] = field(default_factory=list)
    _reviews: dict[str, Review | None] = field(init=False)

    def __post_init__(self) -> None:
        self._reviews = current_reviews(self.ledger)
        self.writer = QuestionWriter(self.model, self.options.context, self.options.variants)
        self.generator = Generator(self.model.name, model_hash(self.model), self.writer.template, self.writer.sampling)
        retriever_rows = self.options.retriever_rows
        if self.own_gates is not None:
            self.gates, self._recorded_gates = list(self.own_gates), frozenset()
            return
        self.gates = standard_gates(self.index, self.reader, retriever_rows=retriever_rows)
        self._composed_gates = [BothPassagesGate(RowReader(self.index, self.reader))]
        names = {gate.name for gate in (*self.gates, *self._composed_gates)}
        self._recorded_gates = frozenset(names) - _UNRECORDED

    def recorded(self, unit: Unit) -> bool:
        """Return whether the questions for a candidate are in the ledger."""
        return self.ledger.find(_item(unit.chunk), QUESTION, self._configuration(unit)) is not None

    def rows(self, unit: Unit) -> list[DataRow]:
        """Return the questions for a candidate as rows, unusable ones rejected and last."""
        found = self.ledger.result(
            _item(unit.chunk),
            QUESTION,
            self._configuration(unit),
            lambda: [
                [draft.question, draft.logprob, draft.ruled]
                for draft in self.writer.write(unit.chunk.text, unit.heading, unit.candidate)
            ],
        )
        drafts = self.writer.order([Draft(*one) for one in found])
        if len(self._drafts) < _CHECKED:
            self._drafts += drafts
            if len(self._drafts) >= _CHECKED:
                check_writes(self.writer, self._drafts)
        rows = [self._row(unit, draft) for draft in drafts]
        return sorted(rows, key=lambda row: not row.kept)

    def decide(self, rows: Sequence[DataRow]) -> list[DataRow]:
        """Return the rows with the decisions of the gates. Decisions of gates that call a model are recorded.

        Gate by gate, so that a local model reuses the beginning of a gate's prompt.
        """
        decided = list(rows)
        for gate in (*self.gates, *self._composed_gates):
            decided = [self._decided(gate, row) if row.kept and self._concerns(gate, row) else row for row in decided]
        return [reviewed(row, self._reviews) for row in decided]

    @property
    def labels(self) -> tuple[list[DataRow], list[DataRow]]:
        """Rows that people kept and rejected; both empty if there are too few of either."""
        kept, rejected = labelled(self._reviews.values())
        return (kept, rejected) if min(len(kept), len(rejected)) >= MIN_LABELS else ([], [])

    def _concerns(self, gate: Gate, row: DataRow) -> bool:
        return gate not in self._composed_gates or MULTI_HOP in row.tags

    def _decided(self, gate: Gate, row: DataRow) -> DataRow:
        if gate.name == "retrieval" and MULTI_HOP in row.tags and self.own_gates is None:
            gate = RetrievalGate(self.index, 0.1)  # two passages are rarely the first two hits
        if gate.name not in self._recorded_gates:
            return apply([gate], [row])[0]
        configuration = digest(gate.threshold, self.reader.name, model_hash(self.reader))
        record = self.ledger.result(row.id, gate.name, configuration, partial(_decision, gate, row))
        row = row.decided(Decision(**record["decision"]))
        return replace(row, tags=tuple(dict.fromkeys((*row.tags, *record["tags"]))))

    def calibrate(self, units: Sequence[Unit]) -> Calibration | None:
        """Fit the gates on planted corruptions of the first rows in good form, and add the gate of their sum.

        Rows that people kept or rejected are labels beside the planted ones.
        """
        measured = [gate for gate in self.gates if gate.name != "duplicates"]
        rows = [row for row in self._first_rows(units) if row.kept]
        kept, rejected = self.labels
        people = [[row.id for row in kept], [row.id for row in rejected]] if kept else []
        key = digest([row.id for row in rows], [gate.name for gate in measured], model_hash(self.reader), *people)
        work = partial(calibrate, measured, rows, kept=kept, rejected=rejected)
        found = self.ledger.result("", "calibration", key, lambda: work().to_dict())
        calibration = Calibration.from_dict(found)
        at = next((n for n, gate in enumerate(self.gates) if gate.name == "duplicates"), len(self.gates))
        self.gates.insert(at, QualityGate(calibration))
        return calibration

    def _first_rows(self, units: Sequence[Unit]) -> Iterator[DataRow]:
        form = [gate for gate in self.gates if gate.name in ("form", "self-contained")]
        for unit in units[:CALIBRATED]:
            for row in self.rows(unit)[:1]:
                if row.kept:
                    yield apply(form, [row])[0]

    def _configuration(self, unit: Unit) -> str:
        one = unit.candidate
        return digest(
            self.generator.model,
            self.generator.model_sha256,
            self.generator.template,
            self.writer.variants,
            [one.start, one.end, one.kind, one.blank, unit.heading],
        )

    def _row(self, unit: Unit, draft: Draft) -> DataRow:
        chunk, one = unit.chunk, unit.candidate
        answer = _span(unit, chunk.start + one.start, chunk.start + one.end, one.text)
        row = DataRow(
            "qa",
            (Message("user", draft.question),),
            one.text,
            answer,
            (_span(unit, chunk.start, chunk.end, chunk.text),),
            self.generator,
            license=self.options.license,
            split=split_of(chunk.document_id, self.options.val_fraction),
            tags=(one.kind,),
        )
        why = fault(draft.question, one, f"{unit.heading} {chunk.text}")
        return row.decided(Decision(QUESTION, False, reason=why)) if why else row


def decide_batch(run: QuestionRun, units: Sequence[Unit]) -> tuple[list[DataRow], list[DataRow]]:
    """Write the questions for some candidates; return the first one of each that is kept, and the rejected ones."""
    open_rows = {number: run.rows(unit) for number, unit in enumerate(units)}
    kept: dict[int, DataRow] = {}
    rejected: list[DataRow] = []
    while open_rows:
        decided = run.decide([rows[0] for rows in open_rows.values()])
        for number, row in zip(list(open_rows), decided, strict=True):
            if row.kept:
                kept[number] = row
            else:
                rejected.append(row)
            open_rows[number] = [] if row.kept else open_rows[number][1:]
        open_rows = {number: rows for number, rows in open_rows.items() if rows}
    return [kept[number] for number in sorted(kept)], rejected


def _decision(gate: Gate, row: DataRow) -> dict[str, object]:
    (row,) = apply([gate], [row])
    decision = row.decisions[-1]
    fields = {name: getattr(decision, name) for name in Decision.__slots__}
    return {"decision": fields, "tags": list(row.tags)}


def _item(chunk: Chunk) -> str:
    return hashlib.sha256(chunk.embedded_text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _span(unit: Unit, start: int, end: int, quote: str) -> TextSpan:
    return TextSpan(unit.chunk.document_id, unit.info.source, unit.info.sha256, start, end, quote)


def split_of(document_id: str, val_fraction: float) -> str:
    """Return the split of a document's rows: ``train`` or ``val``."""
    share = int(hashlib.sha256(document_id.encode()).hexdigest()[:8], 16) / 2**32
    return "val" if share < val_fraction else "train"


def model_hash(model: ChatModel) -> str:
    """Return the SHA-256 of a local model's file; empty for other models."""
    path = getattr(model, "path", None)
    if path is None:
        return ""
    if path not in _hashes:
        _hashes[path] = file_sha256(path)
    return _hashes[path]


_hashes: dict[object, str] = {}
