"""Questions from documents: numbers, reasons, ledger, changed documents, kills, and a small local model."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ragkit import Index
from ragkit.datagen import (
    Ledger,
    QuestionOptions,
    add_review,
    generate_questions,
    plan_questions,
    read_data_rows,
    verify_rows,
)
from ragkit.datagen.candidates import BLANK, candidates
from ragkit.datagen.gates import standard_gates
from ragkit.datagen.question_writer import OPENERS, QuestionWriter, cleaned, fault
from ragkit.errors import DataError, ModelOutputError
from ragkit.models import ScriptedModel
from ragkit.records import Document

CHILD = Path(__file__).parent / "question_child.py"


def asking(messages):
    """Write a question of the words around the blank: no language model is needed to test the rest."""
    sentence = messages[-1].content.rpartition("Sentence: ")[2]
    words = [word.strip(".,;:()") for word in sentence.replace(BLANK, "").split()]
    return f"What belongs to {' '.join(words[:9])}?"


@pytest.fixture
def index(sample_index, tmp_path):
    shutil.copytree(sample_index, tmp_path / "index")
    with Index.open(tmp_path / "index") as opened:
        yield opened


def run(index, ledger, number, model=None, **options):
    gates = standard_gates(index)
    return generate_questions(
        index, model or ScriptedModel(asking), ledger, QuestionOptions(number, **options), gates=gates
    )


def test_number_asked_for_is_delivered_with_exact_spans_and_reasons(index, tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        report = run(index, ledger, 20, follow_ups=2, unanswerable=2)
    singles = [row for row in report.rows if not {"follow-up", "unanswerable"} & set(row.tags)]
    assert len(singles) == 20
    assert len({(row.answer_span.document_id, row.evidence[0].start) for row in singles[:10]}) == 10
    assert all(row.decisions[-1].reason for row in report.rejected)
    rejected, card = report.save(tmp_path / "rows.jsonl")
    rows = list(read_data_rows(tmp_path / "rows.jsonl"))
    assert [row.id for row in rows] == [row.id for row in report.rows]
    assert len({row.id for row in rows}) == len(rows)
    assert verify_rows([*rows, *read_data_rows(rejected)], lambda span: index.document(span.document_id)).exact
    told = json.loads(card.read_text())
    assert told["delivered"] == len(rows)
    assert sum(told["documents"].values()) >= 20


def test_too_many_asked_for_says_what_took_the_rest(index, tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        report = run(index, ledger, 5000, per_chunk=1)
    assert 0 < report.delivered < 5000
    assert report.missing == {"questions": 5000 - report.delivered}
    assert f"All {report.candidates} candidate answers were tried" in report.shortfall
    assert sum(report.rejected_by.values()) == len(report.rejected)
    assert all(f"{name} {count}" in report.shortfall for name, count in report.rejected_by.items())


def test_second_run_calls_no_model_and_a_changed_document_only_for_itself(index, tmp_path):
    asked = []

    def write(messages):
        asked.append(messages[-1].content)
        return asking(messages)

    index.add_documents(
        [
            _document("a", "The bell of Arbor was cast by Ida Holm in 1743."),
            _document("b", "The ferry to Brisk leaves at 7:15 and takes 40 minutes."),
        ]
    )
    with Ledger(tmp_path / "l") as ledger:
        first = run(index, ledger, 5000, ScriptedModel(write), per_chunk=2)
        count = len(asked)
        assert count == plan_questions(index, ScriptedModel(write), ledger, QuestionOptions(5000, per_chunk=2)).recorded
        second = run(index, ledger, 5000, ScriptedModel(write), per_chunk=2)
        assert len(asked) == count
        assert [row.to_dict() for row in first.rows] == [row.to_dict() for row in second.rows]
        index.add_documents([_document("b", "The ferry to Brisk leaves at 8:45 and takes 40 minutes.")])
        third = run(index, ledger, 5000, ScriptedModel(write), per_chunk=2)
    fresh = asked[count:]
    assert fresh
    assert all("ferry to Brisk" in one for one in fresh)
    old = {row.id for row in first.rows if "Brisk" not in row.evidence[0].quote}
    assert old <= {row.id for row in third.rows}


def test_people_decide_rows_and_refit_the_gates(index, tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        first = run(index, ledger, 40)
        kept, rejected = first.rows[:30], [*first.rows[30:], *first.rejected][:30]
        assert first.calibration is None
        assert len(rejected) == 30
        for row in kept:
            add_review(ledger, row, "keep", "ada")
        for row in rejected:
            add_review(ledger, row, "reject", "ada", reason="Odd.")
        second = run(index, ledger, 40)
    assert second.calibration.reviewed == 60
    assert "rejected by people" in second.calibration.auroc_by_kind
    delivered = {row.id for row in second.rows}
    assert {row.id for row in kept} <= delivered
    assert not {row.id for row in rejected} & delivered
    # Other rows come in place of the rejected ones.
    assert second.delivered > 30


def test_model_without_words_and_documents_without_candidates_are_errors(index, tmp_path):
    with Ledger(tmp_path / "l") as ledger, pytest.raises(ModelOutputError, match="no text"):
        run(index, ledger, 10, ScriptedModel(""))
    with Index.create(tmp_path / "empty") as empty, Ledger(tmp_path / "m") as ledger:
        with pytest.raises(DataError, match="no documents"):
            run(empty, ledger, 10)
        empty.add_documents([_document("x", "it rains and it pours")])
        with pytest.raises(DataError, match="No candidate answers were found in the 1 document "):
            run(empty, ledger, 10)


@pytest.mark.slow
def test_killed_runs_lose_and_double_nothing(sample_index, index, tmp_path):
    """A child is killed after random numbers of calls; benchmarks/datagen_kills.py does so at random times."""
    with Ledger(tmp_path / "whole") as ledger:
        whole = run(index, ledger, 15)
    draw = random.Random(7)
    output = tmp_path / "rows.jsonl"
    killed = 0
    for _ in range(20):
        limit = draw.randint(2, 5) if killed < 3 else 10_000
        command = [sys.executable, str(CHILD), str(index.path), str(tmp_path / "ledger"), str(output), str(limit)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "."}
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not output.exists()
        killed += 1
    assert killed == 3
    assert [row.to_dict() for row in read_data_rows(output)] == [row.to_dict() for row in whole.rows]
    calls = int(done.stdout)
    with Ledger(tmp_path / "ledger") as ledger, Ledger(tmp_path / "whole") as complete:
        assert ledger.count("question") == complete.count("question")
    assert calls < len(whole.rows) + len(whole.rejected)


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        ("Question: Who opened the dome?", "Who opened the dome?"),
        ("Sure, here it is:\n1. **When was it opened?**", "When was it opened?"),
        ("“Why is it cold?”\nAnswer: because", "Why is it cold?"),
        ("No idea", "No idea"),
        ("", ""),
    ],
)
def test_question_is_taken_from_a_chatty_reply(reply, question):
    assert cleaned(reply) == question


def test_faults_of_questions_have_reasons():
    passage = (
        "The dome of the observatory was opened on 4 May 1931 by the mayor of Arles after years of delay and debate."
    )
    (one,) = [c for c in candidates(passage) if c.kind == "date"]
    assert fault("When was the dome of the observatory opened?", one, passage) == ""
    assert "contains the answer" in fault("Why was 4 May 1931 important for the dome?", one, passage)
    assert "fewer than" in fault("When was that?", one, passage)
    assert "repeats itself" in fault("When was the dome of the dome of the dome of the dome opened?", one, passage)
    assert "no question" in fault("", one, passage)
    assert "does not contain" in fault("When did the parliament of Norway meet at the dome?", one, passage)
    assert "definition" in fault("What is the observatory of Arles?", one, passage)
    assert "copies" in fault(
        "When was the observatory was opened on by the mayor of Arles after years of delay and debate?",
        one,
        "The observatory was opened on by the mayor of Arles after years of delay and debate.",
    )


def test_small_model_writes_one_line_questions_of_the_right_kind(smollm2):
    text = (
        "The lighthouse of Skagen was built in 1858 by Niels Bindesboll. A visit costs 9 euros because of the stairs."
    )
    writer = QuestionWriter(smollm2)
    assert writer.context == "sentence"
    for one in candidates(text)[:3]:
        drafts = writer.write(text, "", one)
        assert 1 <= len(drafts) <= 3
        for draft in drafts:
            assert draft.question.count("\n") == 0
            assert draft.logprob < 0
            assert draft.question.endswith("?") or fault(draft.question, one, text)
            assert draft.question.split()[0] in {w.split()[0] for ws in OPENERS.values() for w in ws} | {"In", "At"}


def _document(name, text):
    source = f"/notes/{name}.md"
    return Document(name * 32, source, source, text, name.upper(), str(hash(text)), "text/markdown")


def test_decisions_of_gates_that_read_with_a_model_are_recorded(index, tmp_path):
    asked = []

    def reply(messages):
        asked.append(messages[-1].content)
        return asking(messages) if BLANK in messages[-1].content else "19:00"

    def once(ledger):
        return generate_questions(index, ScriptedModel(reply), ledger, QuestionOptions(2, per_chunk=1))

    with Ledger(tmp_path / "l") as ledger:
        first = once(ledger)
        count = len(asked)
        assert any(BLANK not in one for one in asked)
        second = once(ledger)
    assert len(asked) == count
    assert [row.to_dict() for row in first.rejected] == [row.to_dict() for row in second.rejected]
