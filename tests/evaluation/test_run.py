"""A run over questions: outcomes, verdicts, going on after a kill, and errors that don't end it."""

import json
from dataclasses import replace

import pytest

from ragkit import Assistant
from ragkit.answering import AnswerOptions
from ragkit.errors import ModelUnavailableError, SettingsError
from ragkit.evaluation import EvalReport, GoldSource, Question, evaluate, read_report
from ragkit.evaluation.outcome import QUESTION_RESULT, RIGHT
from ragkit.models.scripted import ScriptedModel
from ragkit.prompting import PromptOptions
from ragkit.retrieval import RetrievalOptions
from tests.evaluation.conftest import QUESTIONS


@pytest.fixture(scope="module")
def quotes(samples):
    return evaluate(Assistant(samples, model=None), QUESTIONS)


def by_id(report):
    return {outcome.question.id: outcome for outcome in report.outcomes}


def test_every_question_has_its_outcome_in_order(quotes):
    assert [outcome.question for outcome in quotes.outcomes] == QUESTIONS
    assert quotes.name == "quotes, no model"
    assert quotes.index["documents"] == 12
    assert not quotes.missing
    assert not quotes.errors


def test_right_answer_is_retrieved_cited_and_grounded(quotes):
    bus = by_id(quotes)["bus"]
    assert bus.verdict == RIGHT
    assert bus.scores["contained"] == 1.0
    assert bus.scores["exact"] == 0.0 < bus.scores["f1"]
    assert bus.scores["mrr"] == 1.0
    assert bus.scores["recall@10"] == bus.scores["citation_hit"] == bus.scores["citation_recall"] == 1.0
    assert bus.scores["grounded"] == bus.scores["answered"] == 1.0
    assert 0 < bus.scores["citation_precision"] < 1
    assert any(citation.right and "23:10" in citation.quote for citation in bus.citations)
    assert len(bus.hits) == 10
    assert bus.shown == 8
    assert set(bus.seconds) == {"retrieve", "rank", "read"}


def test_question_without_an_answer_is_scored_for_abstention_only(quotes):
    football = by_id(quotes)["football"]
    assert football.abstained
    assert football.verdict == RIGHT
    assert football.scores == {"declined": 1.0, "right": 1.0}
    assert football.hits[0].relevant is None


def test_question_without_answers_counts_as_right_by_its_citation(quotes):
    e27 = by_id(quotes)["e27"]
    assert "f1" not in e27.scores
    assert e27.verdict == (RIGHT if e27.scores["citation_hit"] else "found, but answered wrongly")


def test_report_is_the_same_after_writing_and_reading(quotes, tmp_path):
    quotes.write(tmp_path / "new" / "report.json")
    again = read_report(tmp_path / "new" / "report.json")
    assert {o.question.id: o for o in again.outcomes} == by_id(quotes)
    assert again.metrics == quotes.metrics
    written = json.loads((tmp_path / "new" / "report.json").read_text())
    assert written["verdicts"] == quotes.verdicts
    assert sum(written["verdicts"].values()) == written["questions"] == 4
    assert written["metrics"]["recall@10"]["count"] == 3
    assert written["seconds"][-1]["stage"] == "total"


def test_file_that_is_no_report_is_told(tmp_path):
    file = tmp_path / "report.json"
    file.write_text('{"name": "x"}')
    with pytest.raises(SettingsError, match="is not an evaluation report: config"):
        read_report(file)
    with pytest.raises(SettingsError, match="can't be read"):
        read_report(tmp_path / "none.json")


def test_threshold_of_one_abstains_though_it_was_found(samples):
    options = AnswerOptions(threshold=1.0)
    (outcome,) = evaluate(Assistant(samples, model=None, options=options), QUESTIONS[:1]).outcomes
    assert outcome.verdict == "found, but abstained"
    assert outcome.scores["answered"] == outcome.scores["f1"] == outcome.scores["citation_recall"] == 0.0
    assert "grounded" not in outcome.scores
    assert "citation_precision" not in outcome.scores


def test_threshold_of_zero_answers_what_nothing_answers(samples):
    options = AnswerOptions(threshold=0.0, unsure_below=0.0)
    (outcome,) = evaluate(Assistant(samples, model=None, options=options), QUESTIONS[3:]).outcomes
    assert outcome.verdict == "answered, though nothing answers it"
    assert outcome.scores["declined"] == 0.0


def test_wrong_passage_is_not_found(samples):
    question = Question("When does the last bus back leave?", "x", ("Cygnus",), (GoldSource("", "Cygnus"),))
    options = AnswerOptions(retrieval=RetrievalOptions(k=1))
    (outcome,) = evaluate(Assistant(samples, model=None, options=options), [question]).outcomes
    assert outcome.verdict == "not found"
    assert outcome.scores["citation_hit"] == 0.0


def test_source_that_the_index_lacks_is_told_and_not_judged(samples):
    question = Question("When does the last bus back leave?", "x", (), (GoldSource("none.pdf", "page"),))
    report = evaluate(Assistant(samples, model=None), [question])
    assert report.missing == {"x": ("'page' in 'none.pdf'",)}
    assert report.outcomes[0].verdict == "not judged"
    assert "mrr" not in report.metrics


def test_retrieval_only_asks_no_model(samples):
    assistant = Assistant(samples, model="no-such-model", options=AnswerOptions(retrieval=RetrievalOptions(k=3)))
    report = evaluate(assistant, QUESTIONS, retrieval_only=True)
    assert report.name == "retrieval, hybrid"
    assert set(report.metrics) == {"recall@1", "recall@5", "recall@10", "ndcg@10", "mrr", "map", "found"}
    assert report.verdicts == {"not judged": 1, RIGHT: 3}
    assert len(report.outcomes[0].hits) == 10


def test_chat_is_judged_by_a_real_model(samples, smollm2):
    options = AnswerOptions(retrieval=RetrievalOptions(k=2), prompt=PromptOptions(answer_tokens=32))
    report = evaluate(Assistant(samples, model=smollm2, mode="chat", options=options), QUESTIONS[:1])
    (outcome,) = report.outcomes
    assert report.name == "chat, smollm2"
    assert outcome.model == "smollm2"
    assert outcome.usage.completion_tokens > 0
    assert {"retrieve", "prompt", "answer", "check"} <= set(outcome.seconds)
    assert "load model" not in outcome.seconds or outcome.seconds["load model"] < 0.1
    sentences_unsupported = len(outcome.unsupported)
    assert (outcome.scores["grounded"] == 1.0) == (sentences_unsupported == 0)


class FailsOn(ScriptedModel):
    """Says the same for all questions, and fails on those that hold a word; counts what it is asked."""

    def __init__(self, word):
        super().__init__("The last bus leaves at 23:10 [1].")
        self.word = word
        self.asked = []

    def stream(self, messages, options):
        self.asked.append(messages[-1].content)
        if self.word and self.word in messages[-1].content.rsplit("Question:")[-1]:
            raise ModelUnavailableError("It is away.", "Wait.")
        yield from super().stream(messages, options)


def test_error_is_noted_and_the_others_go_on_and_only_it_is_asked_again(samples, tmp_path):
    work, told = tmp_path / "deep" / "work.jsonl", []
    model = FailsOn("E27")
    first = evaluate(Assistant(samples, model=model, mode="chat"), QUESTIONS, work=work, progress=told.append)
    assert first.errors == {"e27": "ModelUnavailableError: It is away."}
    assert by_id(first)["e27"].verdict == "failed"
    assert first.ordered[0].question.id == "e27"
    assert by_id(first)["bus"].verdict == RIGHT
    assert [progress.done for progress in told] == [0, 1, 2, 3, 4]
    model.word, model.asked = "", []
    second = evaluate(Assistant(samples, model=model, mode="chat"), QUESTIONS, work=work)
    assert len(model.asked) == 1
    assert not second.errors
    assert by_id(second)["bus"] == by_id(first)["bus"]


def test_killed_run_goes_on_and_a_broken_line_is_passed_over(samples, tmp_path):
    work = tmp_path / "work.jsonl"
    assistant = Assistant(samples, model=None)

    def killed(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(assistant, QUESTIONS, work=work, progress=killed)
    kept = work.read_bytes()
    assert kept.count(b"\n") == 2
    work.write_bytes(kept[:-20])
    report = evaluate(assistant, QUESTIONS, work=work)
    rows = work.read_text().splitlines()
    assert len(rows) == 5
    assert by_id(report)["bus"] == QUESTION_RESULT.validate_python(json.loads(rows[0])["outcome"])


def test_what_is_kept_counts_only_for_the_same_way_and_question(samples, tmp_path):
    work = tmp_path / "work.jsonl"
    evaluate(Assistant(samples, model=None), QUESTIONS[:1], work=work)
    evaluate(Assistant(samples, model=None, options=AnswerOptions(threshold=0.3)), QUESTIONS[:1], work=work)
    evaluate(Assistant(samples, model=None), [replace(QUESTIONS[0], answers=("23:11",))], work=work)
    evaluate(Assistant(samples, model=None), QUESTIONS[:1], work=work)
    assert len(work.read_text().splitlines()) == 3


def test_run_in_which_all_fails_ends_with_the_error(samples):
    with pytest.raises(ModelUnavailableError):
        evaluate(Assistant(samples, model=FailsOn(" "), mode="chat"), QUESTIONS[:1])


def test_no_questions_or_the_same_id_twice_are_refused(samples):
    with pytest.raises(SettingsError, match="no questions"):
        evaluate(Assistant(samples, model=None), [])
    with pytest.raises(SettingsError, match="same id"):
        evaluate(Assistant(samples, model=None), [QUESTIONS[0], QUESTIONS[0]])


def test_means_of_nothing_are_left_out():
    assert EvalReport("x", {}, {}, ()).metrics == {}
    assert EvalReport("x", {}, {}, ()).seconds == []
