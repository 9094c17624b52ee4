"""What to label first: near to many, and not near to each other."""

import numpy as np
import pytest

from ragkit.embedding import open_embedder
from ragkit.errors import SettingsError
from ragkit.examples.annotation import chosen_by_votes, vote_k
from tests.examples.conftest import QUERIES

TEXTS = [text for texts in QUERIES.values() for text in texts]
LABELS = [label for label, texts in QUERIES.items() for _ in texts]


def plain(vectors, count, neighbours, discount):
    """Vote-k as the paper writes it, from the beginning for each choice."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    near = [set(np.argsort(-row, kind="stable")[:neighbours].tolist()) for row in cosines]
    chosen = []
    while len(chosen) < count:
        scores = []
        for one in range(len(vectors)):
            weights = [discount ** -len(near[v] & set(chosen)) for v in range(len(vectors)) if one in near[v]]
            scores.append(-np.inf if one in chosen else sum(weights))
        chosen.append(int(np.argmax(np.round(scores, 9))))
    return chosen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("neighbours", "discount"), [(3, 10.0), (7, 2.0), (500, 10.0), (4, 1.0)])
def test_votes_are_those_of_the_paper(seed, neighbours, discount):
    vectors = np.random.default_rng(seed).normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = chosen_by_votes(vectors, 12, neighbours, discount)
    assert found == plain(vectors, 12, min(neighbours, 59), discount)


def test_chosen_texts_are_of_every_kind():
    chosen = vote_k(TEXTS, 4, embedder=open_embedder(), neighbours=4)
    assert len({LABELS[n] for n in chosen}) >= 3
    assert chosen == vote_k(TEXTS, 4, neighbours=4)


def test_all_are_chosen_where_there_are_fewer():
    assert sorted(vote_k(TEXTS[:3], 10)) == [0, 1, 2]
    assert vote_k(["only this"], 2) == [0]


def test_text_longer_than_the_window_counts_too():
    assert sorted(vote_k(["the mirror cools " * 400, "the bus is late"], 2)) == [0, 1]


@pytest.mark.parametrize(
    ("texts", "count", "more"),
    [([], 1, {}), (["x"], 0, {}), (["x"], 1, {"neighbours": 0}), (["x"], 1, {"discount": 0.5})],
)
def test_numbers_that_can_not_be_are_refused(texts, count, more):
    with pytest.raises(SettingsError, match="must be"):
        vote_k(texts, count, **more)
