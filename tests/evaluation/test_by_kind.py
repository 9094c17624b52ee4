"""Questions with kinds, history, nested answers and further sources: what is asked, scored and reported."""

import json
import subprocess
import sys

import pytest

from ragkit import Assistant
from ragkit.answering import AnswerOptions
from ragkit.evaluation import GoldSource, Question, evaluate, read_report
from ragkit.evaluation.metrics import Place, begins_with, citation_scores, share_right
from ragkit.evaluation.outcome import RIGHT
from ragkit.evaluation.page import report_page
from ragkit.records import Message
from tests.evaluation.conftest import SAMPLES

BUS = GoldSource("faq.html", "The last bus back leaves at 23:10")
ELSEWHERE = GoldSource("faq.html", "Lumen Ridge was founded in 1958")
QUESTIONS = [
    Question("When does the last bus back leave?", "bus", ("23:10",), (BUS,), kind="factoid"),
    Question("When does the last bus leave?", "also", ("23:10",), (ELSEWHERE,), kind="factoid", also=(BUS,)),
    Question("Is the observatory open on Mondays?", "open", ("No",), (), kind="yes/no"),
    Question(
        "Which variable stars were found in 2025?",
        "stars",
        (("LR-118",), ("LR-121", "LR 121"), ("LR-999",)),
        (GoldSource("annual-report-2025.md", "two new variable stars"),),
        kind="list",
    ),
    Question(
        "And when was it founded?",
        "founded",
        ("1958",),
        (ELSEWHERE,),
        kind="followup",
        history=(Message("user", "Who founded the observatory?"), Message("assistant", "Ilse Marrow.")),
    ),
    Question("Who won the football world cup in 2014?", "football", unanswerable=True, kind="far"),
]


@pytest.fixture(scope="module")
def report(samples):
    return evaluate(Assistant(samples, model=None), QUESTIONS)


def outcome(report, identity):
    return next(one for one in report.outcomes if one.question.id == identity)


def row(report, name):
    return next(one for one in report.kinds if one.name == name)


def test_items_are_counted_as_whole_words():
    assert share_right("It costs 12.50 euros [1].", [["12.50"]]) == 1
    assert share_right("It costs 12.50 euros.", [["12"]]) == 0
    assert share_right("It is 240 [1].", [["1"]]) == 0
    assert share_right("Red, blue and 1,000 more.", [["blue", "azure"], ["green"], ["1000"]]) == pytest.approx(2 / 3)
    assert share_right("Anything.", []) == 0


def test_yes_or_no_must_begin_the_reply():
    assert begins_with("No, it is closed on Mondays.", ["no"])
    assert not begins_with("Yes, no doubt.", ["no"])
    assert not begins_with("", ["no"])


def test_yes_or_no_among_other_wordings_counts_only_where_the_reply_begins_with_it():
    answers = [["no", "no, do not turn it off", "leave it on"]]
    assert share_right("No. The computer stays on.", answers) == 1
    assert share_right("Please leave it on [1].", answers) == 1
    assert share_right("Yes. There is no other way.", answers) == 0
    assert share_right("No appointment is needed.", [["no appointment is needed"]]) == 1


def test_what_an_unsure_answer_lacks_is_no_part_of_its_reply(samples):
    question = Question("Is the Lighthouse keeper called Cornelius Vane?", answers=("no",))
    assistant = Assistant(samples, model=None, options=AnswerOptions(threshold=0.0, unsure_below=1.0))
    (result,) = evaluate(assistant, [question]).outcomes
    assert result.unsure
    assert "\n\nNot sure: no " in result.text
    assert result.scores["right"] == 0


def test_place_that_supports_the_answer_as_well_counts_as_gold():
    gold, also = [[Place("a", 0, 10)], [Place("a", 20, 30)]], [Place("b", 0, 10)]
    found = citation_scores([Place("b", 0, 10)], gold, also)
    assert found == {"citation_recall": 1, "citation_precision": 1, "citation_hit": 1}
    assert citation_scores([Place("b", 0, 10)], gold)["citation_hit"] == 0
    assert citation_scores([], gold, also) == {"citation_recall": 0}


def test_hit_and_citation_in_a_further_source_count(report):
    bus = outcome(report, "also")
    assert bus.scores["found"] == bus.scores["cited"] == 1
    assert any(citation.right and "23:10" in citation.quote for citation in bus.citations)


def test_each_item_of_a_nested_answer_counts(report):
    stars = outcome(report, "stars")
    assert stars.scores["right"] == pytest.approx(2 / 3)
    assert stars.verdict == "partly right"
    assert "f1" not in stars.scores


def test_history_is_asked_with_the_question(report, samples):
    founded = outcome(report, "founded")
    assert founded.scores["right"] == founded.scores["found"] == 1
    searched = evaluate(Assistant(samples, model=None), [QUESTIONS[4]], retrieval_only=True)
    assert searched.outcomes[0].scores["found"] == 1
    bare = Question("And when was it?", "bare", (), (ELSEWHERE,), history=QUESTIONS[4].history)
    asked = evaluate(Assistant(samples, model=None), [bare], retrieval_only=True).outcomes[0]
    alone = Question("And when was it?", "alone", (), (ELSEWHERE,))
    without = evaluate(Assistant(samples, model=None), [alone], retrieval_only=True).outcomes[0]
    assert [hit.start for hit in asked.hits] != [hit.start for hit in without.hits]


def test_kinds_are_reported_with_intervals_and_totals(report, tmp_path):
    assert [one.name for one in report.kinds] == [
        "factoid",
        "far",
        "followup",
        "list",
        "yes/no",
        "all answerable",
        "all unanswerable",
    ]
    factoid = row(report, "factoid").estimates
    assert row(report, "factoid").count == factoid["found"].count == 2
    assert factoid["found"].low <= factoid["found"].mean <= factoid["found"].high
    assert row(report, "far").estimates["refused"].mean == row(report, "far").estimates["right"].mean == 1
    assert row(report, "far").estimates["cited"] is None
    assert row(report, "all answerable").count == 5
    report.write(tmp_path / "r.json")
    assert read_report(tmp_path / "r.json").kinds == report.kinds
    assert json.loads((tmp_path / "r.json").read_text())["kinds"][0]["kind"] == "factoid"


def test_page_has_the_table_by_kind(report):
    page = report_page(report)
    assert "By kind of question" in page
    assert "<th scope='row'>all unanswerable</th>" in page
    assert "LR-121 or LR 121" in page
    assert "Earlier, assistant" in page


def test_unsure_is_counted_apart_from_refused(samples):
    unsure = evaluate(Assistant(samples, model=None, options=AnswerOptions(threshold=0, unsure_below=1)), QUESTIONS)
    total = row(unsure, "all unanswerable").estimates
    assert (total["refused"].mean, total["unsure"].mean) == (0, 1)
    assert outcome(unsure, "football").verdict == "unsure, and nothing answers it"
    assert outcome(unsure, "football").scores["right"] == 0
    assert outcome(unsure, "bus").verdict == RIGHT


def test_kind_is_the_recognised_one_where_the_file_gives_none(samples):
    asked = [Question("What is the difference between an adult and a child tour?", "c", ("9.50",))]
    report = evaluate(Assistant(samples, model=None), asked)
    assert report.kinds[0].name == "comparison"


def test_run_is_resumed_in_another_process(samples, tmp_path):
    """What identifies a run must not depend on the process: a hash seed, the address of an object."""
    work = tmp_path / "work.jsonl"
    evaluate(Assistant(samples, model=None), QUESTIONS[:1], work=work)
    program = (
        "import sys; from pathlib import Path; from ragkit import Assistant, Index\n"
        "from ragkit.evaluation import evaluate; from tests.evaluation.test_by_kind import QUESTIONS\n"
        "with Index.open(Path(sys.argv[1])) as index:\n"
        "    evaluate(Assistant(index, model=None), QUESTIONS[:1], work=sys.argv[2])\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(samples.path), str(work)], check=True, cwd=SAMPLES.parents[1], timeout=120
    )
    assert len(work.read_text().splitlines()) == 1
