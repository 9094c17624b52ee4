"""Question files: questions, their answers, and where the answers occur.

JSON Lines, CSV or TSV with one question per row, or SQuAD's JSON (also of SQuAD 2 and XQuAD). The fields of a row::

    {"id": "bus", "question": "When does the last bus leave?", "answers": ["23:10"],
     "sources": [{"source": "faq.html", "quote": "The last bus leaves at 23:10."}], "unanswerable": false}

Only ``question`` is required. In CSV and TSV ``answers`` is one answer, or a JSON list of them, and the columns
``source``, ``quote``, ``passage``, ``start`` and ``end`` describe one source.

Optional fields: ``kind``, by which the report is grouped; ``history``, the messages before the question, each with
``role`` and ``content``; ``also``, further sources that support the answer equally well. ``answers`` may be a list of
lists: each inner list has the accepted wordings of one item of the answer. Other fields are kept as they are.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from ragkit._files import write_atomically
from ragkit.errors import SettingsError
from ragkit.examples.reading import json_lines
from ragkit.records import Document, Message, document_id

_STRICT = ConfigDict(extra="forbid")
_FIELDS = ("id", "question", "answers", "sources", "unanswerable", "kind", "history", "also")
_SURPLUS = "further columns"
_SOURCE_FIELDS = ("source", "quote", "passage", "start", "end")


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class GoldSource:
    """Source of an answer: a complete document, a quote of it, or a span."""

    source: str = ""
    """Names the document: its source, id or title, or the end of its path, such as ``faq.html``; empty for any."""
    quote: str = ""
    """The text in it that supports the answer; white space may differ. If it occurs twice, either place counts."""
    passage: str = ""
    """Text around the quote, to identify one of several places."""
    start: int | None = None
    """Start of the span in characters: in the passage if there is one, otherwise in the document."""
    end: int | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Question:
    """A question with its expected answer and sources."""

    question: str
    id: str = ""
    """Unique id, by which two runs are compared."""
    answers: tuple[str | tuple[str, ...], ...] = ()
    """Strings: each is right, and the best match counts. Tuples: the items of the answer, each with its accepted
    wordings."""
    sources: tuple[GoldSource, ...] = ()
    """Sources of the answer; all are required."""
    unanswerable: bool = False
    """True if the documents contain no answer, so that abstaining is right."""
    kind: str = ""
    """Any name; the report groups questions by it."""
    history: tuple[Message, ...] = ()
    """The conversation before the question, oldest message first."""
    also: tuple[GoldSource, ...] = ()
    """Each supports the answer as well as all ``sources`` together do."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Other fields of the row, as they are."""

    @property
    def nested(self) -> bool:
        """Whether the answer has several items, each with its own accepted wordings."""
        return any(not isinstance(answer, str) for answer in self.answers)

    @property
    def items(self) -> tuple[tuple[str, ...], ...]:
        """Accepted wordings for each item of the answer; one item if the answers are plain strings."""
        if self.nested:
            return tuple((answer,) if isinstance(answer, str) else answer for answer in self.answers)
        return (self.wordings,) if self.answers else ()

    @property
    def wordings(self) -> tuple[str, ...]:
        """All accepted wordings in one list."""
        return tuple(word for answer in self.answers for word in ((answer,) if isinstance(answer, str) else answer))

    @property
    def yes_no(self) -> bool:
        """Whether the reply must begin with yes or no."""
        if not self.answers or self.nested:
            return False
        if self.kind:
            return re.sub(r"[^a-z]", "", self.kind.casefold()) == "yesno"
        return all(word.strip(" .!").casefold() in ("yes", "no") for word in self.wordings)

    def to_dict(self) -> dict[str, Any]:
        """Return a row of a JSON Lines file, without what is empty."""
        row: dict[str, Any] = asdict(self)
        extra: dict[str, Any] = row.pop("extra")
        for name in ("sources", "also"):
            row[name] = [_filled(source) for source in row[name]]
        return _filled(row) | extra


_ROW = TypeAdapter(Question)


def read_questions(path: str | Path) -> list[Question]:
    """Return the questions of a file; one without an id gets its line's number.

    Raises:
        SettingsError: if the file can't be read or contains none; it names the line and the field.
    """
    file = Path(path).expanduser()
    kind = file.suffix.lower()
    if kind not in (".jsonl", ".ndjson", ".csv", ".tsv", ".json"):
        raise SettingsError(
            f"{file} is not a file of questions.", "Use a .jsonl, .csv or .tsv file, or a .json of SQuAD's."
        )
    try:
        if kind == ".json":
            found = [question for _, question in _squad(_squad_data(file))]
        else:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                rows = _json_rows(lines, file) if kind in (".jsonl", ".ndjson") else _csv_rows(lines, kind)
                found = [_checked(row, f"{file}, line {number}", str(number)) for number, row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{file} can't be read: {error}.", "Use a readable file in UTF-8.") from error
    if not found:
        raise SettingsError(f"{file} contains no questions.", 'Write one per line: {"question": "…", "answers": ["…"]}')
    seen: dict[str, int] = {}
    for number, question in enumerate(found, 1):
        if question.id in seen:
            raise SettingsError(
                f"{file}: questions {seen[question.id]} and {number} have the same id, {question.id!r}.",
                "Use a unique id for each question, or omit the ids.",
            )
        seen[question.id] = number
    return found


def write_questions(path: str | Path, questions: Iterable[Question]) -> None:
    """Write a JSON Lines file for ``read_questions``, atomically.

    Raises:
        OSError: if it can't be written.
    """
    lines = [json.dumps(question.to_dict(), ensure_ascii=False) + "\n" for question in questions]
    write_atomically(Path(path), "".join(lines).encode())


def squad_documents(path: str | Path) -> list[Document]:
    """Return the paragraphs of a SQuAD file as documents for its questions.

    Each has its article's title, and the article's number as metadata, ``article``.

    Raises:
        SettingsError: if the file can't be read.
    """
    file = Path(path).expanduser()
    found = []
    for number, article in enumerate(_squad_data(file)):
        for place, paragraph in enumerate(article["paragraphs"]):
            source = f"{file.name}/{number}/{place}"
            title, text = _title(article, number), paragraph["context"]
            key = document_id(source)
            found.append(Document(key, source, source, text, title, key, "text/plain", {"article": number}))
    return found


def _checked(row: Mapping[str, Any], place: str, identity: str) -> Question:
    known = {name: value for name, value in row.items() if name in _FIELDS}
    extra = {name: value for name, value in row.items() if name not in _FIELDS}
    for name in extra:
        # A misspelt field would silently change what is measured.
        meant = [field for field in difflib.get_close_matches(name, _FIELDS, 1, 0.8) if field not in row]
        if meant or name == _SURPLUS:
            hint = f"Did you mean {meant[0]}?" if meant else "Quote cells that contain the delimiter."
            raise SettingsError(f"{place}, {name}: there is no such field.", hint)
    try:
        found = replace(_ROW.validate_python(known), extra=extra)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the row"
        legal = _SOURCE_FIELDS if first["loc"][:1] in (("sources",), ("also",)) else _FIELDS
        unknown = first["type"] == "unexpected_keyword_argument"
        what = "there is no such field" if unknown else first["msg"]
        hint = f"Legal fields: {', '.join(legal)}." if unknown else "Correct the field."
        raise SettingsError(f"{place}, {field}: {what}.", hint) from error
    wrong = _contradiction(found)
    if wrong:
        raise SettingsError(f"{place}, {wrong}", "Correct the field, or remove it.")
    # Where the question has no id, what stands in for it is the same in every run of the same file.
    return found if found.id else replace(found, id=identity)


def _contradiction(question: Question) -> str:
    """Return the field that can't be as it is, and why; empty if all can."""
    if not question.question.strip():
        return "question: it is empty."
    if question.unanswerable and (question.answers or question.sources):
        return "unanswerable: it is true, but there are answers or sources."
    if any(not item for item in question.items) or any(not word.strip() for word in question.wordings):
        return "answers: one is empty."
    if question.also and not question.sources:
        return "also: it names further sources, but there are no sources."
    sources = [(f"sources.{number}", source) for number, source in enumerate(question.sources)]
    for name, source in sources + [(f"also.{number}", source) for number, source in enumerate(question.also)]:
        if not (source.source or source.quote or source.passage):
            return f"{name}: it has neither source nor quote nor passage."
        if (source.start is None) != (source.end is None):
            return f"{name}: it has one of start and end, and needs both or none."
        if source.start is not None and source.end is not None:
            if not 0 <= source.start < source.end:
                return f"{name}: {source.start} to {source.end} is not a span."
            if not (source.source or source.passage):
                return f"{name}: it has start and end, but no source or passage that they count in."
    return ""


def _json_rows(lines: Iterable[str], file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, row in json_lines(lines, file, SettingsError):
        if isinstance(row.get("answers"), str):
            row["answers"] = [row["answers"]]
        if isinstance(row.get("id"), int):
            row["id"] = str(row["id"])
        yield number, row


def _csv_rows(lines: Iterable[str], kind: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(lines, delimiter="\t" if kind == ".tsv" else ",", restkey=_SURPLUS)
    for cells in reader:
        row: dict[str, Any] = {key: value for key, value in cells.items() if value}
        answers = row.get("answers", "")
        if answers.startswith("["):
            try:
                row["answers"] = json.loads(answers)
            except ValueError:
                row["answers"] = [answers]
        elif answers:
            row["answers"] = [answers]
        gold = {key: row.pop(key) for key in _SOURCE_FIELDS if key in row}
        if gold:
            row["sources"] = [gold]
        if row:
            yield reader.line_num, row


def _squad_data(file: Path) -> Sequence[Mapping[str, Any]]:
    """Return the articles of a SQuAD file; what is wrong is told with its place in the file."""
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))["data"]
        for _ in _squad(data):
            pass
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} can't be read: {error}.", "Use a readable file in UTF-8.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{file} is not in SQuAD's format: {type(error).__name__}: {error}.",
            'It contains {"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}; '
            "other questions go into JSON Lines.",
        ) from error
    return data  # type: ignore[no-any-return]


def _squad(data: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Question]]:
    """Yield each question with its paragraph; the first of several annotators gives the place of the answer."""
    number = 0
    for article in data:
        for paragraph in article["paragraphs"]:
            context: str = paragraph["context"]
            for item in paragraph["qas"]:
                number += 1
                answers = tuple(dict.fromkeys(str(answer["text"]) for answer in item["answers"]))
                sources: tuple[GoldSource, ...] = ()
                if answers:
                    text, start = item["answers"][0]["text"], int(item["answers"][0]["answer_start"])
                    if context[start : start + len(text)] != text:
                        raise ValueError(f"answer {text!r} of question {item.get('id', number)!r} is not at {start}")
                    sources = (GoldSource("", text, context, start, start + len(text)),)
                yield (
                    paragraph,
                    Question(str(item["question"]), str(item.get("id", number)), answers, sources, not answers),
                )


def _title(article: Mapping[str, Any], number: int) -> str:
    return str(article.get("title", f"Article {number + 1}")).replace("_", " ")


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty."""
    return {key: value for key, value in row.items() if value not in ("", None, False, (), [])}
