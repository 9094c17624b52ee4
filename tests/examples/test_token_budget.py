"""What fits into a budget of tokens: the preferred first, and what is too long passed over."""

import numpy as np
import pytest

from ragkit.errors import ExamplePoolError, QueryError, SettingsError
from ragkit.examples import DynamicSelector, ExamplePool, ExampleSelector, FixedSelector, SelectorOptions, TokenBudget
from ragkit.examples.choosing import coverage, determinantal, within
from ragkit.models import open_model
from ragkit.records import Example, Message
from tests.examples.conftest import EXAMPLES

CHOICES = ("best", "mmr", "dpp", "coverage", "keyword_coverage", "balanced")


def count(example):
    return len(example.input.split())


@pytest.mark.parametrize("choice", CHOICES)
def test_room_is_kept_and_used_by_every_choice(pool, choice):
    for tokens in (5, 9, 14, 40):
        shots = DynamicSelector(pool, SelectorOptions(choice=choice)).select(
            "my card is lost", 8, TokenBudget(tokens, count)
        )
        spent = sum(count(shot.example) for shot in shots)
        assert spent <= tokens
        rest = [e for e in EXAMPLES if e.input not in {shot.example.input for shot in shots}]
        # Everything of the pool is a candidate here, so what is left out did not fit.
        assert len(shots) == 8 or min(count(e) for e in rest) > tokens - spent


def test_wide_room_changes_nothing(pool):
    for choice in CHOICES:
        selector = DynamicSelector(pool, SelectorOptions(choice=choice))
        assert selector.select("change the PIN", 6, TokenBudget(10_000, count)) == selector.select("change the PIN", 6)


def test_what_does_not_fit_is_passed_over_and_the_order_comes_afterwards(pool):
    best_first = DynamicSelector(pool, SelectorOptions(order="best_first"))
    ranked = [shot.example for shot in best_first.select("please change my PIN", 20)]
    budget = TokenBudget(count(ranked[0]) + count(ranked[2]), count)
    long = Example(ranked[1].input + " now" * 50, ranked[1].output)
    assert budget.fitting([ranked[0], long, ranked[2], ranked[3]], 3) == [0, 2]
    shots = DynamicSelector(pool).select("please change my PIN", 20, budget)
    assert shots[-1].example == ranked[0]
    assert [shot.score for shot in shots] == sorted(shot.score for shot in shots)


def test_room_too_small_for_one_example_gives_none(pool):
    for selector in (DynamicSelector(pool), FixedSelector(EXAMPLES)):
        assert selector.select("my card", 8, TokenBudget(1, count)) == []
        assert selector.select("my card", 8, TokenBudget(0, count)) == []


def test_room_of_less_than_nothing_is_refused():
    with pytest.raises(SettingsError, match="-1"):
        TokenBudget(-1, count)


def test_examples_counted_by_a_model_fit_its_prompt(pool):
    model = open_model("smollm2")

    def tokens(examples):
        turns = [m for e in examples for m in (Message("user", e.input), Message("assistant", e.output))]
        return model.count_tokens([*turns, Message("user", "where is my new card")])

    frame = tokens([])
    budget = TokenBudget(90, lambda example: tokens([example]) - frame)
    shots = DynamicSelector(pool).select("where is my new card", 8, budget)
    assert 2 <= len(shots) < 8
    assert tokens([shot.example for shot in shots]) <= frame + 90


@pytest.mark.parametrize("seed", range(6))
def test_choice_within_a_room_is_that_among_what_fits(seed):
    random = np.random.default_rng(seed)
    similarity, weights = random.random((12, 5), dtype=np.float32), np.ones(5, dtype=np.float32)
    vectors = random.normal(size=(12, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    costs = random.integers(1, 9, 12).tolist()

    def cover(some, k):
        return [some[n] for n in coverage(similarity[some], weights, k)]

    def differ(some, k):
        return [some[n] for n in determinantal(np.ones(len(some), dtype=np.float32), vectors[some], k)]

    for choose in (cover, differ):
        expected, spent = [], 0
        while len(expected) < 4:
            # One step of greedy choice at a time, among those that still fit.
            fitting = [n for n in range(12) if n not in expected and spent + costs[n] <= 12]
            if not fitting:
                break
            step = choose(sorted([*expected, *fitting]), len(expected) + 1)
            assert step[: len(expected)] == expected
            expected = step
            spent = sum(costs[n] for n in expected)
        assert within(12, 12, 4, choose, costs.__getitem__) == expected


def test_fixed_examples_come_in_their_own_order_whatever_is_asked():
    selector = FixedSelector(EXAMPLES[:5])
    assert isinstance(selector, ExampleSelector)
    for text in ("one thing", "another thing"):
        assert [shot.example for shot in selector.select(text, 3)] == EXAMPLES[:3]
    assert [shot.example for shot in selector.select("x", 5, TokenBudget(14, count))] == [EXAMPLES[0], EXAMPLES[1]]


def test_fixed_examples_never_show_the_input_itself():
    text = f" {EXAMPLES[1].input.upper()}"
    assert [s.example for s in FixedSelector(EXAMPLES[:3]).select(text)] == [EXAMPLES[0], EXAMPLES[2]]
    assert [s.example for s in FixedSelector(EXAMPLES[:3], exclude_self=False).select(text)] == EXAMPLES[:3]


def test_fixed_selector_refuses_what_can_not_be():
    with pytest.raises(ExamplePoolError, match="no examples"):
        FixedSelector([])
    for text, k in (("", 1), ("x", 0)):
        with pytest.raises(QueryError):
            FixedSelector(EXAMPLES).select(text, k)


def test_example_longer_than_the_room_makes_place_for_shorter_ones(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add([Example("how long does the mirror cool " * 30, "long"), Example("the bus leaves at ten", "bus")])
        shots = DynamicSelector(pool).select("how long does the mirror cool", 1, TokenBudget(10, count))
    assert [shot.example.output for shot in shots] == ["bus"]
