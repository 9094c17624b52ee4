"""Scores of replies, and when one model is better than another for certain."""

import random

import pytest

from ragkit.errors import SettingsError
from ragkit.tasks.metrics import exact_match, token_f1
from ragkit.tuning.comparison import estimate, gain, metric_of


def test_f1_is_of_words_without_articles_and_signs():
    assert token_f1("The Norman dukes.", "norman dukes") == 1.0
    assert token_f1("Norman", "Norman dukes") == pytest.approx(2 / 3)
    assert token_f1("", "x") == token_f1("y", "x") == 0.0
    assert (exact_match("A Duke!", "duke"), exact_match("duke x", "duke")) == (1.0, 0.0)


def test_gain_of_pairs_is_certain_where_that_of_means_is_not():
    lot = random.Random(0)
    before = [lot.random() for _ in range(200)]
    after = [score + 0.02 + 0.05 * (lot.random() - 0.5) for score in before]
    better = gain(before, after)
    assert better.mean == pytest.approx(0.02, abs=0.005)
    assert better.low > 0.01
    assert estimate(before).high > estimate(after).low


def test_interval_covers_the_truth_as_often_as_it_says():
    lot = random.Random(1)
    covered = 0
    for seed in range(200):
        found = estimate([float(lot.random() < 0.3) for _ in range(150)], seed)
        covered += found.low <= 0.3 <= found.high
    assert 180 <= covered <= 199


def test_no_gain_is_seldom_certain():
    lot = random.Random(2)
    certain = 0
    for _ in range(200):
        before, after = [lot.random() for _ in range(60)], [lot.random() for _ in range(60)]
        certain += gain(before, after).low > 0
    # By chance, 2.5 % of the time.
    assert certain <= 12
    assert gain(before, before).low == gain(before, before).high == 0.0


def test_wrong_input_is_refused():
    with pytest.raises(SettingsError, match="1 scores before and 2"):
        gain([1.0], [1.0, 0.0])
    with pytest.raises(SettingsError, match="no held-out examples"):
        estimate([])
    with pytest.raises(SettingsError, match="bleu") as raised:
        metric_of("bleu")
    assert "f1, exact" in raised.value.hint
