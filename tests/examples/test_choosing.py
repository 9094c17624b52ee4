"""Sets of examples, against brute force."""

from itertools import combinations

import numpy as np
import pytest

from ragkit.examples.choosing import balanced, coverage, determinantal
from ragkit.examples.overlap import OverlapIndex, grams


def unit(random, n, d):
    vectors = random.normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(8))
def test_determinantal_choice_takes_the_largest_gain_each_time(seed):
    random = np.random.default_rng(seed)
    vectors, relevance = unit(random, 12, 8), random.uniform(0.2, 1, 12).astype(np.float32)
    kernel = relevance[:, None] * (vectors @ vectors.T) * relevance[None, :]
    expected = []
    for _ in range(4):
        rest = [n for n in range(12) if n not in expected]
        sets = [np.ix_([*expected, n], [*expected, n]) for n in rest]
        expected.append(rest[int(np.argmax([np.linalg.det(kernel[one]) for one in sets]))])
    assert determinantal(relevance, vectors, 4) == expected


def test_determinantal_choice_never_takes_the_same_thing_twice():
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert determinantal(np.array([1, 0.9, 0.5], dtype=np.float32), vectors, 3) == [0, 2]


@pytest.mark.parametrize("seed", range(8))
def test_coverage_is_near_the_best_set(seed):
    random = np.random.default_rng(seed)
    similarity, weights = random.random((9, 6), dtype=np.float32), random.random(6, dtype=np.float32)

    def score(chosen):
        return float(similarity[list(chosen)].max(axis=0) @ weights)

    chosen = coverage(similarity, weights, 3)
    assert len(set(chosen)) == 3
    assert score(chosen) >= (1 - 1 / np.e) * max(score(one) for one in combinations(range(9), 3))


def test_coverage_takes_what_covers_the_rest_before_more_of_the_same():
    similarity = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float32)
    assert coverage(similarity, np.ones(3, dtype=np.float32), 2) == [0, 2]
    assert sorted(coverage(similarity, np.ones(3, dtype=np.float32), 5)) == [0, 1, 2]


def test_coverage_of_nothing_keeps_the_order():
    assert coverage(np.zeros((4, 2), dtype=np.float32), np.ones(2, dtype=np.float32), 3) == [0, 1, 2]


def test_balanced_takes_labels_in_turns():
    assert balanced(["a", "a", "a", "b", "c", "b"], 5) == [0, 3, 4, 1, 5]
    assert balanced(["a"], 3) == [0]


def test_grams_are_runs_of_words():
    assert grams("The new card", 2) == {"the", "new", "card", "the new", "new card"}
    assert grams("新卡", 1) == {"新", "卡"}


@pytest.mark.parametrize("longest", [1, 3])
def test_overlap_is_the_jaccard_index(longest):
    texts = ["lost my card", "my card", "where is the card", "", "完全 different"]
    index = OverlapIndex(texts, longest)
    asked = grams("my card is lost", longest)
    expected = [len(asked & grams(text, longest)) / len(asked | grams(text, longest)) for text in texts]
    assert index.scores("my card is lost") == pytest.approx(expected)
    assert not index.scores("zebra").any()
