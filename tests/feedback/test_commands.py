"""``ragkit feedback``: what it writes is what the other commands read."""

import json
import shutil

import pytest

from ragkit import Assistant, Index
from ragkit.evaluation.questions import read_questions
from ragkit.examples import ExamplePool, read_examples
from ragkit.feedback import FeedbackLog, Rating, Reply
from ragkit.tuning.data import read_records
from ragkit.tuning.rewards.rankings import read_rankings
from tests.cli.conftest import here  # noqa: F401
from tests.feedback.events import chosen, compared, corrected, questions, quote, thumb

TEACHING = questions("teaching", 24)
MEASURING = questions("measuring", 4)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder whose indexes folder has a feedback log."""
    folder = tmp_path_factory.mktemp("feedback")
    with FeedbackLog.open(folder / "indexes" / ".serving" / "feedback.sqlite") as log:
        for number, question in enumerate(TEACHING):
            long, short = f"It is {number}, as the notice at the door says.", f"{number}"
            log.add(compared(question, short, long, "b", f"c{number}"))
        log.add(corrected(TEACHING[0], "Bob.", "Ann."))
        log.add(chosen(TEACHING[1], "At nine."))
        log.add(thumb(MEASURING[0], "Nine [1].", quotes=[quote("It opens at nine.")]))
        log.add(thumb(TEACHING[2], "[bold]Ten[/] \x1b[31m.", "down", person="bob"))
    return folder


def run(here, workplace, *words, **more):  # noqa: F811
    return here("feedback", *words, cwd=workplace, **more)


def test_list_tells_each_event_on_a_line_and_filters(here, workplace):  # noqa: F811
    text = run(here, workplace, "list").stdout
    assert text.count("comparison") == 24
    assert "'Ann.'" in text
    assert "qwen · chat · 4 shots preferred to smollm2 · chat · 4 shots" in text
    told = json.loads(run(here, workplace, "list", "--collection", "sea", "--json").stdout)
    assert told["events"] == []
    assert "0 events" in run(here, workplace, "list", "--since", "2100-01-01").stdout


def test_export_holds_all_that_the_log_does(here, workplace):  # noqa: F811
    run(here, workplace, "export", "--output", "all.jsonl")
    rows = [json.loads(line) for line in (workplace / "all.jsonl").read_text().splitlines()]
    with FeedbackLog.open(workplace / "indexes" / ".serving" / "feedback.sqlite") as log:
        assert rows == [event.to_dict() for event in log.events()]


def test_examples_go_to_a_file_and_into_a_pool(here, workplace):  # noqa: F811
    done = run(here, workplace, "examples", "--output", "e.jsonl")
    found = read_examples(workplace / "e.jsonl")
    assert [(one.input, one.output) for one in found] == [(TEACHING[0], "Ann."), (TEACHING[1], "At nine.")]
    assert "1 held out for evaluation" in done.stderr
    assert "2 added" in run(here, workplace, "examples", "--pool", "taught").stdout
    assert "0 added to taught, 2 known" in run(here, workplace, "examples", "--pool", "taught").stdout
    with ExamplePool.open(workplace / "indexes" / "taught", create=False) as pool:
        assert len(pool) == 2


def test_questions_sft_and_rankings_are_read_by_their_consumers(here, workplace):  # noqa: F811
    run(here, workplace, "questions", "--output", "q.jsonl")
    (question,) = read_questions(workplace / "q.jsonl")
    assert (question.question, question.answers, question.sources[0].quote) == (
        MEASURING[0],
        ("Nine.",),
        "It opens at nine.",
    )
    run(here, workplace, "sft", "--output", "train.jsonl")
    assert [record.reply for record in read_records(workplace / "train.jsonl")] == ["Ann."]
    printed = run(here, workplace, "rankings").stdout
    run(here, workplace, "rankings", "--output", "r.jsonl")
    assert (workplace / "r.jsonl").read_text() == printed
    assert len(read_rankings(workplace / "r.jsonl").rankings) == 25


def test_tune_reward_learns_from_the_rankings_as_written(here, workplace):  # noqa: F811
    run(here, workplace, "rankings", "--output", "r.jsonl")
    told = json.loads(here("tune", "reward", "taste", "r.jsonl", "--json", cwd=workplace).stdout)
    assert told["name"] == "taste"
    assert (workplace / "adapters" / "taste").is_dir()


def test_standings_show_the_win_rate_with_its_interval(here, workplace):  # noqa: F811
    text = run(here, workplace, "standings").stdout
    assert "0.86 to 1.00" in text
    best, worst = json.loads(run(here, workplace, "standings", "--json").stdout)["configurations"]
    assert (best["config"]["model"], best["wins"], worst["losses"], worst["down"]) == ("qwen", 24, 24, 1)


def test_nothing_to_learn_from_is_an_error_that_says_why_and_writes_no_file(here, workplace):  # noqa: F811
    error = run(here, workplace, "sft", "--collection", "sea", "--output", "none.jsonl", check=2).stderr
    assert "There are no records to export: the log has no such feedback" in error
    assert "ragkit feedback list" in error
    assert not (workplace / "none.jsonl").exists()


def test_a_missing_log_names_the_place_and_the_option(here, tmp_path):  # noqa: F811
    error = here("feedback", "list", cwd=tmp_path, check=1).stderr
    assert ".serving/feedback.sqlite" in error
    assert "--log FILE" in error
    assert not (tmp_path / "indexes").exists()


def test_forget_removes_a_persons_events(here, tmp_path):  # noqa: F811
    file = tmp_path / "f.sqlite"
    with FeedbackLog.open(file) as log:
        log.add(thumb("When?", "At nine.", person="ann"))
        log.add(thumb("When?", "At nine.", person="bob"))
    assert "1 event removed" in here("feedback", "forget", "--log", file, "--person", "ann", cwd=tmp_path).stdout
    with FeedbackLog.open(file) as log:
        assert [event.person for event in log.events()] == ["bob"]
    assert "Specify a person or a collection" in here("feedback", "forget", "--log", file, cwd=tmp_path, check=2).stderr


def test_a_real_answer_that_was_liked_becomes_a_question_whose_passage_eval_finds(here, tmp_path, sample_index):  # noqa: F811
    asked = ["When does the last bus back leave?", "How long should the mirror cool?", "Where does Bus 47 run from?"]
    with Index.open(shutil.copytree(sample_index, tmp_path / "indexes" / "samples")) as index:
        answers = [Assistant(index, None, "quotes").ask(question) for question in asked]
    with FeedbackLog.open(tmp_path / "indexes" / ".serving" / "feedback.sqlite") as log:
        for answer in answers:
            about = {"collection": "samples", "question": answer.question, "reply": Reply.of(answer, k=8)}
            log.add(Rating(**about, thumb="up"))
    # All measure, so that no question has to be found that the hash draws.
    here("feedback", "questions", "--val-fraction", "0.99", "--output", "q.jsonl", cwd=tmp_path)
    report = json.loads(here("eval", "samples", "q.jsonl", "--mode", "quotes", "--json", cwd=tmp_path).stdout)
    assert report["questions"] == 3
    for metric in ("recall@10", "citation_recall"):
        assert (report["metrics"][metric]["mean"], report["metrics"][metric]["count"]) == (1.0, 3)
