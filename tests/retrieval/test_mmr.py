"""Maximal marginal relevance against a version that is slow and plain."""

import numpy as np
import pytest

from ragkit.retrieval.mmr import maximal_marginal_relevance


def unit_vectors(generator, count, dimension):
    vectors = generator.standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def plain_mmr(relevance, vectors, k, balance):
    chosen, gains = [], []
    while len(chosen) < min(k, len(relevance)):
        best, highest = None, None
        for item in range(len(relevance)):
            if item in chosen:
                continue
            alike = max([0.0, *(float(np.dot(vectors[item], vectors[other])) for other in chosen)])
            gain = balance * float(relevance[item]) - (1 - balance) * alike
            if highest is None or gain > highest:
                best, highest = item, gain
        chosen.append(best)
        gains.append(highest)
    return chosen, gains


@pytest.mark.parametrize("balance", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(20))
def test_mmr_equals_brute_force(seed, balance):
    generator = np.random.default_rng(seed)
    count, k = int(generator.integers(1, 40)), int(generator.integers(1, 45))
    vectors, relevance = unit_vectors(generator, count, 6), generator.random(count).astype(np.float32)
    found = maximal_marginal_relevance(relevance, vectors, k, balance)
    chosen, gains = plain_mmr(relevance, vectors, k, balance)
    assert [number for number, _ in found] == chosen
    assert [gain for _, gain in found] == pytest.approx(gains, abs=1e-5)


@pytest.mark.parametrize("balance", [0.0, 0.2, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(10))
def test_mmr_gains_never_rise(seed, balance):
    generator = np.random.default_rng(100 + seed)
    relevance = generator.random(60).astype(np.float32)
    found = maximal_marginal_relevance(relevance, unit_vectors(generator, 60, 3), 60, balance)
    gains = [gain for _, gain in found]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > gains[-1]


def test_mmr_k_larger_than_n_gives_each_item_once():
    generator = np.random.default_rng(1)
    relevance = generator.random(7).astype(np.float32)
    found = maximal_marginal_relevance(relevance, unit_vectors(generator, 7, 4), 10**9, 0.5)
    assert sorted(number for number, _ in found) == list(range(7))


def test_mmr_balance_of_1_is_the_order_of_relevance_ties_as_they_came():
    vectors = unit_vectors(np.random.default_rng(2), 6, 4)
    relevance = np.array([0.1, 0.9, 0.5, 0.9, 0.0, 0.5], dtype=np.float32)
    found = maximal_marginal_relevance(relevance, vectors, 6, 1.0)
    assert [number for number, _ in found] == [1, 3, 2, 5, 0, 4]
    assert [gain for _, gain in found] == pytest.approx([0.9, 0.9, 0.5, 0.5, 0.1, 0.0])


def test_mmr_balance_of_0_looks_at_likeness_only():
    half = 0.5**0.5
    vectors = np.array([[1, 0], [1, 0], [half, half], [0, 1]], dtype=np.float32)
    relevance = np.array([0.2, 1.0, 0.9, 0.0], dtype=np.float32)
    found = maximal_marginal_relevance(relevance, vectors, 4, 0.0)
    assert [number for number, _ in found] == [0, 3, 2, 1]
    assert [gain for _, gain in found] == pytest.approx([0.0, 0.0, -half, -1.0])


def test_mmr_takes_the_opposite_for_no_likeness_not_for_a_merit():
    vectors = np.array([[1, 0], [-1, 0], [0, 1]], dtype=np.float32)
    relevance = np.array([1.0, 0.4, 0.5], dtype=np.float32)
    found = maximal_marginal_relevance(relevance, vectors, 3, 0.5)
    assert [number for number, _ in found] == [0, 2, 1]


def test_mmr_of_nothing_is_nothing():
    assert maximal_marginal_relevance(np.zeros(0, np.float32), np.zeros((0, 4), np.float32), 5, 0.5) == []
