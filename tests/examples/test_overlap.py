"""The index of shared words: it grows with the pool, and forgets what is gone."""

import numpy as np
import pytest

from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions
from ragkit.examples.candidates import best_of_sorted
from ragkit.examples.overlap import OverlapIndex, grams, pool_overlap
from ragkit.indexing.vectors import best
from ragkit.records import Example
from tests.examples.conftest import EXAMPLES
from tests.indexing.hashing import HashingEmbedder

TEXTS = [example.input for example in EXAMPLES]


def jaccard(text, texts, longest):
    asked = grams(text, longest)
    return [len(asked & grams(other, longest)) / len(asked | grams(other, longest)) for other in texts]


@pytest.mark.parametrize("longest", [1, 3])
def test_joined_index_is_that_of_all_texts(longest):
    joined = OverlapIndex(TEXTS[:7], longest).joined(OverlapIndex(TEXTS[7:], longest))
    assert len(joined) == len(TEXTS)
    assert joined.scores("where is the new card") == pytest.approx(jaccard("where is the new card", TEXTS, longest))
    empty = OverlapIndex([], longest)
    assert empty.joined(joined).scores("my card") == pytest.approx(joined.scores("my card"))
    assert empty.scores("my card").shape == (0,)


def test_index_grows_by_what_was_added_and_is_made_anew_where_something_is_gone(tmp_path):
    with ExamplePool.create(tmp_path / "p", embedder=HashingEmbedder()) as pool:
        pool.add(EXAMPLES[:12])
        first = pool_overlap(pool.index, 1, None)
        assert pool_overlap(pool.index, 1, first) is first
        pool.add(EXAMPLES[12:15])
        grown = pool_overlap(pool.index, 1, first)
        assert grown.parts[0] is first.parts[0]
        assert [len(part) for part in grown.parts] == [12, 3]
        pool.add(EXAMPLES[15:])
        merged = pool_overlap(pool.index, 1, grown)
        assert merged.parts[0] is first.parts[0] or len(merged.parts) == 1
        texts = [chunk.text for chunk, _ in pool.index.chunks(merged.keys)]
        assert sorted(texts) == sorted(TEXTS)
        assert merged.scores("my new card") == pytest.approx(jaccard("my new card", texts, 1))
        pool.remove(EXAMPLES[3:5])
        pool.add([Example("a new card", "x")])
        after = pool_overlap(pool.index, 1, merged)
        texts = [chunk.text for chunk, _ in pool.index.chunks(after.keys)]
        assert sorted(texts) == sorted([*TEXTS[:3], *TEXTS[5:], "a new card"])
        assert after.scores("my new card") == pytest.approx(jaccard("my new card", texts, 1))


def test_example_that_was_replaced_is_seen_as_it_is_now(tmp_path):
    with ExamplePool.create(tmp_path / "p", embedder=HashingEmbedder()) as pool:
        pool.add(EXAMPLES[:4])
        selector = DynamicSelector(pool, SelectorOptions(by="jaccard", duplicate_threshold=1))
        selector.select("my card", 4)
        pool.add([Example(EXAMPLES[0].input.upper(), EXAMPLES[0].output, {"lang": "shouted"})])
        shots = selector.select("my card", 9)
        assert len(shots) == 4
        assert [s.example.metadata["lang"] for s in shots if s.example.output == EXAMPLES[0].output].count(
            "shouted"
        ) == 1


@pytest.mark.parametrize("seed", range(5))
def test_best_of_sorted_is_the_best_with_ties_by_key(seed):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 4, 60).astype(np.float32)
    keys = np.sort(random.permutation(1000)[:60]).astype(np.int64)
    for k in (1, 7, 59, 60, 80):
        expected, found = best(keys, scores, k), best_of_sorted(keys, scores, k)
        assert found[0].tolist() == expected[0].tolist()
        assert found[1].tolist() == expected[1].tolist()
