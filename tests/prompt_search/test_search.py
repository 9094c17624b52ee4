"""What holds for every method: the budget, the seed, the splits."""

import json
from dataclasses import replace

import pytest

from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.models.scripted import ScriptedModel
from ragkit.prompt_search import ExampleScore, PromptCandidate, SearchOptions, search_prompts
from ragkit.records import Example
from tests.prompt_search.colours import DEV, OPTIONS, TRAIN, Counting, objective, search, told, write_instruction

METHODS = ["random", "ape", "opro", "gepa"]


@pytest.mark.parametrize("method", METHODS)
def test_method_finds_the_best_prompt(method):
    report = search(method, options=replace(OPTIONS, max_calls=400))
    assert report.start_score == pytest.approx(0.1)
    assert report.dev_score == 1.0
    assert told(report.best) == {"red", "blue", "green", "black"}


@pytest.mark.parametrize("method", METHODS)
def test_budget_is_never_exceeded(method):
    for calls in range(len(DEV), 90):
        judge, asked = Counting(), []

        def propose(messages, asked=asked):
            asked.append(messages)
            return write_instruction(messages)

        report = search(method, judge, ScriptedModel(propose), options=replace(OPTIONS, max_calls=calls))
        assert report.calls == len(judge.asked) + len(asked) <= calls
        assert report.proposals == len(asked)


@pytest.mark.parametrize("method", METHODS)
def test_item_is_scored_once_for_a_candidate(method):
    judge = Counting()
    search(method, judge)
    assert len(judge.asked) == len(set(judge.asked))


@pytest.mark.parametrize("method", METHODS)
def test_seed_fixes_the_report(method):
    first = search(method)
    assert search(method) == first
    other = search(method, options=replace(OPTIONS, seed=1))
    assert [t.candidate for t in other.trials] != [t.candidate for t in first.trials]


@pytest.mark.parametrize("method", METHODS)
def test_proposer_sees_nothing_of_dev(method):
    seen = []

    def propose(messages):
        seen.append(messages[-1].content)
        return write_instruction(messages)

    report = search(method, proposer=ScriptedModel(propose))
    assert len(seen) == report.proposals
    assert (method == "random") == (not seen)
    assert not [text for text in seen if "dev thing" in text]


@pytest.mark.parametrize("method", METHODS)
def test_shots_come_from_train_only(method):
    start = PromptCandidate("say", tuple(TRAIN[:2]))
    report = search(method, start=start)
    for trial in report.trials:
        assert {shot.input for shot in trial.candidate.shots} <= {example.input for example in TRAIN}
        if method != "random":
            assert trial.candidate.shots == start.shots


@pytest.mark.parametrize("method", METHODS)
def test_best_is_scored_on_all_of_dev(method):
    report = search(method)
    best = [trial for trial in report.trials if trial.candidate == report.best]
    assert [trial.complete for trial in best] == [True]
    assert sorted(best[0].scores) == list(report.dev_items) == list(range(len(DEV)))
    assert best[0].score == report.dev_score
    assert max(trial.score for trial in report.trials if trial.complete) == report.dev_score


def test_budget_for_the_start_only_is_a_report():
    report = search("gepa", options=replace(OPTIONS, max_calls=len(DEV)))
    assert report.best == PromptCandidate()
    assert report.calls == len(DEV)
    assert report.proposals == 0


def test_of_equals_the_start_wins():
    report = search("opro", judge=lambda _, examples: [ExampleScore(0.5)] * len(examples))
    assert len(report.trials) > 1
    assert report.best == PromptCandidate()


def test_progress_tells_every_call():
    told_of = []
    report = search("gepa", progress=told_of.append)
    assert [each.done for each in told_of] == list(range(1, report.calls + 1))
    assert {each.total for each in told_of} == {OPTIONS.max_calls}
    assert told_of[-1].current == f"best {report.dev_score:.3f}"


def test_batch_is_what_the_objective_gets():
    sizes = []

    def judge(candidate, examples):
        sizes.append(len(examples))
        return objective(candidate, examples)

    report = search("random", judge, options=replace(OPTIONS, batch_size=5))
    assert sizes[:3] == [5, 5, 2]
    assert report.trials == search("random").trials


def test_overlap_of_train_and_dev_is_refused():
    dev = [*DEV, Example("  TRAINING thing\nnumber 3 ", "red")]
    with pytest.raises(ExamplePoolError, match=r"1 dev inputs are also in train.*TRAINING thing"):
        search_prompts(objective, TRAIN, dev)


def test_start_with_foreign_shots_is_refused():
    with pytest.raises(ExamplePoolError, match="not in train: 'from elsewhere'"):
        search("random", start=PromptCandidate("say", (Example("from elsewhere", "red"),)))


def test_start_that_holds_a_dev_input_is_noted():
    report = search("random", start=PromptCandidate("say what dev thing number 3 is"))
    assert any("contains the dev input 'dev thing number 3'" in note for note in report.notes)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"method": "grid"}, "random, ape, opro, gepa"),
        ({"method": "opro", "proposer": None}, "opro needs a proposer"),
        ({"options": SearchOptions(max_calls=11)}, "max_calls=11 is too small to score one prompt on 12 dev items"),
    ],
)
def test_wrong_setting_is_refused(change, match):
    with pytest.raises(SettingsError, match=match):
        search_prompts(objective, TRAIN, DEV, **{"method": "random", **change})


@pytest.mark.parametrize(
    "change", [{"max_calls": 0}, {"seed": -1}, {"minibatch": 0}, {"temperature": -0.1}, {"batch_size": 0}]
)
def test_option_out_of_range_is_refused(change):
    with pytest.raises(SettingsError, match=f"{next(iter(change))} must be"):
        SearchOptions(**change)


def test_empty_split_is_refused():
    with pytest.raises(ExamplePoolError, match="16 training and 0 dev"):
        search_prompts(objective, TRAIN, [])


def test_unlabelled_training_example_is_refused():
    with pytest.raises(ExamplePoolError, match="1 training examples have no output: 'bare'"):
        search_prompts(objective, [*TRAIN, Example("bare", " ")], DEV)


def test_objective_with_too_few_outcomes_is_refused():
    with pytest.raises(SettingsError, match="0 scores for 1"):
        search_prompts(lambda candidate, examples: [], TRAIN, DEV)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_outcome_out_of_range_is_refused(score):
    with pytest.raises(SettingsError, match="score"):
        ExampleScore(score)


def test_report_is_plain_and_readable():
    report = search("gepa")
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["best"]["instruction"] == report.best.instruction
    assert plain["dev_items"] == list(range(len(DEV)))
    assert [trial["score"] for trial in plain["trials"]] == [trial.score for trial in report.trials]
    table = report.table()
    assert f"{report.calls} of 120 calls, {report.proposals} of them proposals" in table
    assert "items 0-11" in table
    rows = table.splitlines()[5 : 5 + len(report.trials)]
    assert rows[0].split()[:3] == [str(report.trials[-1].number), "1.000", "12"]
    assert {row.split()[0] for row in rows} == {str(trial.number) for trial in report.trials}
    assert f"  {report.best.instruction}" in table.splitlines()


def test_error_is_the_standard_error_of_the_mean():
    halves = search_prompts(
        lambda candidate, examples: [ExampleScore(float("number 1" in example.input)) for example in examples],
        TRAIN,
        DEV,
        options=SearchOptions(max_calls=12),
    )
    assert halves.dev_score == pytest.approx(3 / 12)
    assert halves.error == pytest.approx((0.25 * 0.75 / 11) ** 0.5)
