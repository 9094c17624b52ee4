"""A test split against the pool, and the guard of every selection."""

import pytest

from ragkit.errors import ExamplePoolError
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions, find_leaks
from ragkit.records import Example
from tests.examples.conftest import EXAMPLES

CLEAN = [
    Example("do you have a branch in Lisbon", "branch"),
    Example("why was I charged twice", "charge"),
    Example("two cards in one envelope?", "card_arrival"),
]
LONG = " ".join(f"On day {n} the mirror of the telescope had to cool before anybody observed." for n in range(90))


def test_leaks_planted_in_a_test_split_are_found(pool):
    same = Example(EXAMPLES[7].input.upper() + " ", "another label")
    near = Example("I lost my card yesterday!!", "lost_card")
    leaks = find_leaks(pool, [CLEAN[0], same, CLEAN[1], near, CLEAN[2]])
    assert [leak.example for leak in leaks] == [same, near]
    assert [leak.found for leak in leaks] == [EXAMPLES[7], EXAMPLES[0]]
    assert leaks[0].cosine == 1
    assert 0.8 < leaks[1].cosine <= 1


def test_clean_split_has_no_leaks(pool):
    assert find_leaks(pool, CLEAN) == []
    assert find_leaks(pool, []) == []
    assert find_leaks(pool, [Example("  ", "x")]) == []


def test_bound_is_the_callers(pool):
    near = [Example("I have lost my card yesterday", "x"), Example(EXAMPLES[2].input, "x")]
    assert [leak.example for leak in find_leaks(pool, near, cosine=0.9)] == near
    assert [leak.example for leak in find_leaks(pool, near, cosine=1.1)] == near[1:]
    assert len(find_leaks(pool, [*near, *CLEAN], cosine=-1.0)) == 5


def test_every_example_of_a_large_split_is_looked_at(pool):
    split = [Example(f"{EXAMPLES[0].input} {n}", "x") for n in range(520)] + [EXAMPLES[4], Example(" ", "")]
    assert [leak.example for leak in find_leaks(pool, split, cosine=1.1)] == [EXAMPLES[4]]


def test_empty_pool_can_not_be_checked(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool, pytest.raises(ExamplePoolError, match="empty"):
        find_leaks(pool, CLEAN)


def test_long_example_leaks_by_its_parts_and_is_never_chosen_for_itself(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add([Example(LONG, "mirror"), Example("the bus leaves at ten", "bus")])
        changed = LONG.replace("day 77", "night 77")
        assert [leak.found.output for leak in find_leaks(pool, [Example(changed, "?"), CLEAN[0]])] == ["mirror"]
        for by in ("dense", "keyword", "hybrid", "jaccard", "random"):
            for text in (LONG, LONG.upper(), changed):
                shots = DynamicSelector(pool, SelectorOptions(by=by)).select(text, 5)
                assert "mirror" not in [shot.example.output for shot in shots]


@pytest.mark.parametrize(("near", "bound"), [("I lost my card, yesterday!!", 0.995), ("I lost my card last day", 0.9)])
def test_near_duplicate_is_hidden_from_every_way_of_choosing(tmp_path, near, bound):
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add([*EXAMPLES, Example(near, "near")])
        for by in ("dense", "keyword", "hybrid", "jaccard", "ngram", "random"):
            outputs = {
                guard: [
                    shot.example.output
                    for shot in DynamicSelector(pool, SelectorOptions(by=by, duplicate_threshold=guard)).select(
                        "I lost my card yesterday", 40
                    )
                ]
                for guard in (bound, 1.0)
            }
            assert "near" not in outputs[bound]
            assert "near" in outputs[1.0]
