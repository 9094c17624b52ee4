"""What is peculiar to each method."""

from dataclasses import replace

import pytest

from ragkit.errors import PromptOverflowError
from ragkit.models.scripted import ScriptedModel
from ragkit.prompt_search import ExampleScore, PromptCandidate, SearchOptions, search_prompts
from ragkit.prompt_search.gepa import front
from ragkit.prompt_search.journal import Journal
from ragkit.prompt_search.racing import race, race_cost, race_size
from ragkit.prompt_search.study import Study
from ragkit.records import Example
from tests.prompt_search.colours import DEV, OPTIONS, TRAIN, Counting, objective, search, write_instruction

ITEMS = [Example(f"item {n}", "yes") for n in range(16)]


def graded(candidate, examples):
    """Score a candidate by the number in its instruction."""
    return [ExampleScore(int(candidate.instruction) / 10)] * len(examples)


def study_of(options, judge=graded, start="0"):
    study = Study(judge, TRAIN, ITEMS, options, Journal())
    study.score(PromptCandidate(start), range(len(ITEMS)))
    study.settle(PromptCandidate(start), "start")
    return study


def test_race_halves_until_all_items_are_scored():
    study = study_of(SearchOptions(max_calls=200, minibatch=4))
    race(study, [(PromptCandidate(str(grade)), "") for grade in (1, 7, 3, 9, 5, 2, 8)])
    items = {int(trial.candidate.instruction): len(trial.scores) for trial in study.trials}
    assert items == {0: 16, 1: 4, 2: 4, 3: 4, 5: 8, 7: 8, 8: 16, 9: 16}
    assert study.best.candidate.instruction == "9"
    assert study.calls == 16 + 3 * 4 + 2 * 8 + 2 * 16


def test_race_costs_no_more_than_was_planned():
    study = study_of(SearchOptions(max_calls=10_000, minibatch=3, proposals=9))
    for count in range(1, 10):
        before = study.calls
        planned = race_cost(study, count)
        entrants = [(PromptCandidate("9", (TRAIN[number], TRAIN[count])), "") for number in range(count)]
        race(study, entrants)
        assert study.calls - before == planned


def test_race_size_is_the_largest_that_fits():
    for calls in range(16, 120):
        study = study_of(SearchOptions(max_calls=calls, minibatch=4, proposals=6))
        size = race_size(study, each=1)
        assert size == 0 or size + race_cost(study, size) <= study.left
        assert size == 6 or size + 1 + race_cost(study, size + 1) > study.left


def test_race_leaves_what_can_not_win_any_more():
    study = study_of(SearchOptions(max_calls=200, minibatch=8), start="9")
    race(study, [(PromptCandidate("1"), ""), (PromptCandidate("2"), "")])
    assert study.calls == 16 + 2 * 8
    assert {trial.note for trial in study.trials[1:]} == {"can no longer exceed the best after 8 items"}


def test_random_draws_different_sets_of_the_asked_size():
    report = search("random")
    drawn = [trial.candidate.shots for trial in report.trials[1:]]
    assert all(len({shot.input for shot in shots}) == OPTIONS.shots for shots in drawn)
    assert len(drawn) == len({tuple(shot.input for shot in shots) for shots in drawn})


def test_random_ends_where_no_set_is_left():
    report = search_prompts(objective, TRAIN[:2], DEV, options=SearchOptions(max_calls=500, shots=2))
    assert len(report.trials) == 3
    assert report.notes == ("Ended early: there are no further sets of shots.",)


def test_ape_induces_then_varies_the_best():
    report = search("ape")
    origins = [trial.origin for trial in report.trials]
    assert origins[0] == "start"
    first = origins.index(next(origin for origin in origins if origin.startswith("variation")))
    assert set(origins[1:first]) == {"induced"}
    for trial in report.trials:
        if trial.origin.startswith("variation of"):
            parent = report.trials[int(trial.origin.split()[-1])]
            assert trial.candidate.instruction.startswith(parent.candidate.instruction)


def test_opro_shows_the_scores_the_best_last():
    seen = []

    def propose(messages):
        seen.append(messages[-1].content)
        return write_instruction(messages)

    report = search("opro", proposer=ScriptedModel(propose), options=replace(OPTIONS, history=3, proposals=2))
    shown = [int(line.removeprefix("Score: ")) for line in seen[-1].splitlines() if line.startswith("Score: ")]
    scores = sorted(round(100 * trial.score) for trial in report.trials if trial.candidate.instruction)
    assert len(shown) == 3
    assert shown == sorted(shown)
    assert shown[-1] == scores[-1] == 100


def test_opro_shows_what_fits_the_window():
    lengths = []

    def propose(messages):
        lengths.append(model.count_tokens(messages))
        return f"Instruction: {'word ' * 40}{len(lengths)}"

    model = ScriptedModel(propose, window=400)
    report = search("opro", proposer=model, options=replace(OPTIONS, max_calls=300, max_tokens=60, proposals=1))
    assert len(report.trials) > 10
    assert max(lengths) <= 340
    assert lengths[-1] > 250


def test_proposer_with_too_small_a_window_is_told():
    with pytest.raises(PromptOverflowError, match="the window is 40"):
        search("ape", proposer=ScriptedModel("x", window=40), options=replace(OPTIONS, max_tokens=20))


def test_gepa_mends_by_the_feedback_of_training_items():
    seen = []

    def propose(messages):
        seen.append(messages[-1].content)
        return write_instruction(messages)

    judge = Counting()
    report = search("gepa", judge, ScriptedModel(propose))
    assert all("miss=" in text and "training thing" in text for text in seen)
    for trial in report.trials[1:]:
        parent = report.trials[int(trial.origin.split()[-1])]
        assert trial.candidate.instruction.startswith(parent.candidate.instruction)
        assert trial.complete


def test_gepa_does_not_score_a_worse_child_on_dev():
    judge = Counting()
    report = search("gepa", judge, ScriptedModel([f"Instruction: nothing {n}" for n in range(99)]))
    assert len(report.trials) > 5
    assert all(not trial.scores and "not above its parent's" in trial.note for trial in report.trials[1:])
    assert sum("dev thing" in text for _, text in judge.asked) == len(DEV)


def test_gepa_never_tries_a_candidate_on_its_own_shots():
    judge = Counting()
    start = PromptCandidate("say", tuple(TRAIN[:14]))
    search("gepa", judge, start=start)
    tried = {text for _, text in judge.asked if text.startswith("training")}
    assert tried
    assert tried <= {example.input for example in TRAIN[14:]}


def test_gepa_ends_where_there_is_nothing_to_mend():
    report = search("gepa", start=PromptCandidate("say red blue green black"))
    assert report.proposals == 0
    assert report.calls == len(DEV) + len(TRAIN)
    assert "no mistakes" in report.notes[0]


def test_gepa_ends_where_train_is_all_shots():
    report = search("gepa", start=PromptCandidate("say", tuple(TRAIN)))
    assert report.calls == len(DEV)
    assert "only the shots of the start" in report.notes[0]


def test_front_keeps_specialists_and_drops_the_mediocre():
    assert front([{0: 1.0, 1: 0.0}, {0: 0.0, 1: 1.0}, {0: 0.6, 1: 0.6}]) == {0: 1, 1: 1}


def test_front_drops_who_is_best_on_a_part_of_what_another_is():
    assert front([{0: 1.0, 1: 0.2, 2: 0.0}, {0: 1.0, 1: 0.9, 2: 0.1}, {0: 0.3, 1: 0.0, 2: 0.5}]) == {1: 2, 2: 1}


def test_front_keeps_equals():
    assert front([{0: 0.5}, {0: 0.5}]) == {0: 1, 1: 1}


@pytest.mark.parametrize("method", ["ape", "opro", "gepa"])
def test_proposals_of_no_use_are_dropped_and_told(method):
    replies = ["", "...", "Instruction: say what dev thing number 3 is", "Instruction: say", "Instruction: SAY "]
    report = search(
        method, start=PromptCandidate("say"), proposer=ScriptedModel([*replies, "Instruction: tell red"] + [""] * 99)
    )
    assert [dropped.reason for dropped in report.dropped[:5]] == [
        "empty",
        "empty",
        "contains the dev input 'dev thing number 3'",
        "seen before",
        "seen before",
    ]
    assert report.dropped[2].reply == replies[2]
    assert [trial.candidate.instruction for trial in report.trials] == ["say", "tell red"]
    assert "1 contains the dev input" in report.table()


@pytest.mark.parametrize("method", ["ape", "opro"])
def test_proposer_without_ideas_ends_the_search(method):
    report = search(method, proposer=ScriptedModel(""))
    assert report.proposals == 3 * OPTIONS.proposals
    assert "no new proposals" in report.notes[0]
