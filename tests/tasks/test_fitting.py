"""A race of settings: the best wins, within the budget."""

import random

import pytest

from ragkit.errors import TaskError
from ragkit.records import Example
from ragkit.tasks.fitting import race

DEV = [Example(str(number), "x") for number in range(200)]
SKILL = {"poor": 0.2, "fair": 0.5, "good": 0.9, "bad": 0.0}


def chance(setting, example):
    return float(random.Random(f"{setting} {example.input}").random() < SKILL[setting])


def test_best_setting_wins_and_is_tried_longest():
    report = race(list(SKILL), chance, DEV, calls=160)
    assert report.best == "good"
    assert report.trials[0].setting == "good"
    assert report.trials[0].tried > report.trials[-1].tried
    assert report.trials[0].score == pytest.approx(0.9, abs=0.15)
    assert 0 < report.trials[0].error < 0.1


@pytest.mark.parametrize("calls", [4, 5, 37, 160, 10_000])
def test_budget_is_never_exceeded_and_no_example_is_scored_twice(calls):
    asked = []
    told = []
    report = race(
        list(SKILL),
        lambda setting, example: asked.append((setting, example.input)) or chance(setting, example),
        DEV,
        calls,
        progress=lambda done, total: told.append((done, total)),
    )
    assert report.calls == len(asked) <= calls
    assert len(set(asked)) == len(asked)
    assert told == [(done, calls) for done in range(1, len(asked) + 1)]


def test_all_settings_of_a_round_see_the_same_examples():
    seen = {name: [] for name in SKILL}
    race(list(SKILL), lambda s, e: seen[s].append(e.input) or chance(s, e), DEV, calls=80)
    shortest = min(map(len, seen.values()))
    assert shortest > 1
    assert len({tuple(inputs[:shortest]) for inputs in seen.values()}) == 1


def test_of_equals_the_first_wins():
    assert race(["a", "b", "c"], lambda *_: 1.0, DEV, calls=30).best == "a"


def test_one_setting_costs_nothing():
    report = race(["only"], lambda *_: pytest.fail("asked"), DEV, calls=0)
    assert (report.best, report.calls) == ("only", 0)


@pytest.mark.parametrize(
    ("settings", "dev", "calls", "told"),
    [
        ([], DEV, 9, "0 settings"),
        (["a"], [], 9, "0 examples"),
        (["a", "b"], DEV, 1, "1 calls are too few to compare 2"),
    ],
)
def test_race_that_cannot_be_run_says_why(settings, dev, calls, told):
    with pytest.raises(TaskError, match=told):
        race(settings, chance, dev, calls)
