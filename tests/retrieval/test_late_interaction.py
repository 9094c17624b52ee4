"""Late interaction: MaxSim of the embedder's own token vectors, kept in memory up to a bound."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ragkit.errors import SettingsError
from ragkit.records import Chunk
from ragkit.retrieval.late_interaction import LateInteraction
from tests.indexing.hashing import HashingEmbedder
from tests.retrieval.token_hashing import TokenHashingEmbedder

QUERIES = ["What does a family ticket cost?", "mirror", "什么时候 🔭 متى", "Where may a dog go, and for how long?"]


def chunk_of(key, text, header=""):
    return Chunk("d", key, 0, len(text), text, 1, header=header, key=key)


def plain_maxsim(embedder, query, chunk):
    tokens = embedder.embed_tokens([query], "query")[0]
    passage = embedder.embed_tokens([chunk.embedded_text], "document")[0]
    return float(np.mean([max(float(np.dot(token, other)) for other in passage) for token in tokens]))


def held(late):
    return sum(vectors.nbytes for vectors in late._kept.values())


@pytest.fixture
def notes():
    generator = np.random.default_rng(3)
    return [chunk_of(n, " ".join(f"w{w}" for w in generator.integers(0, 90, 4 + n))) for n in range(30)]


@pytest.mark.parametrize("query", QUERIES)
def test_late_score_is_brute_force_maxsim(samples, query):
    chunks = [chunk for chunk, _ in samples.chunks(range(1, 9))]
    found = LateInteraction(samples.embedder).score(query, chunks)
    # In a batch with others the int8 model's numbers differ a little.
    assert found == pytest.approx([plain_maxsim(samples.embedder, query, c) for c in chunks], abs=5e-3)
    assert max(found) - min(found) > 0.05


def test_late_score_by_hand():
    embedder = TokenHashingEmbedder(dimension=4096)
    passages = [chunk_of(1, "red green blue"), chunk_of(2, "red"), chunk_of(3, "grey"), chunk_of(4, "red red green")]
    # Of the words each is like itself only (but for the little that all share at place 0).
    assert LateInteraction(embedder).score("red green", passages) == pytest.approx([1, 0.5, 0, 1], abs=1e-3)


def test_late_score_reads_the_header_too():
    late = LateInteraction(TokenHashingEmbedder(dimension=4096))
    bare, headed = late.score("opening hours", [chunk_of(1, "at noon"), chunk_of(2, "at noon", "Opening hours")])
    assert bare == pytest.approx(0, abs=1e-3)
    assert headed == pytest.approx(1, abs=1e-3)


def test_late_score_without_tokens_is_0():
    late = LateInteraction(TokenHashingEmbedder())
    assert late.score("?!", [chunk_of(1, "red"), chunk_of(2, "green")]) == [0.0, 0.0]
    assert late.score("red", [chunk_of(3, "..."), chunk_of(1, "red")]) == pytest.approx([0.0, 1.0])
    assert late.score("red", []) == []


@pytest.mark.parametrize("kept", [0, 48 * 4 * 40, 2**28])
def test_late_cache_keeps_its_limit_and_changes_no_score(notes, kept):
    embedder = TokenHashingEmbedder()
    late = LateInteraction(embedder, kept)
    expected = [plain_maxsim(embedder, "w1 w5 w70", chunk) for chunk in notes]
    for _ in range(3):
        for start in (0, 10, 5, 20):
            part = slice(start, start + 10)
            assert late.score("w1 w5 w70", notes[part]) == pytest.approx(expected[part], abs=1e-6)
            assert held(late) == late._bytes <= kept
    assert (len(late._kept) > 0) == (kept > 0)


def test_late_cache_big_enough_embeds_a_passage_once(notes):
    embedder = TokenHashingEmbedder()
    late = LateInteraction(embedder, 2**28)
    late.score("w1", notes)
    assert embedder.token_texts == 1 + 30
    late.score("w2", notes[::-1])
    assert embedder.token_texts == 2 + 30
    assert held(late) == sum(48 * 4 * (4 + n) for n in range(30))


def test_late_cache_of_0_embeds_each_time(notes):
    embedder = TokenHashingEmbedder()
    late = LateInteraction(embedder, 0)
    late.score("w1", notes)
    late.score("w1", notes)
    assert embedder.token_texts == 2 * 31


def test_late_cache_lets_go_of_what_was_used_longest_ago():
    embedder = TokenHashingEmbedder()
    late = LateInteraction(embedder, 3 * 48 * 4)
    one, two, three, four = (chunk_of(n, f"word{n}") for n in range(4))
    late.score("word", [one, two, three])
    late.score("word", [one])
    late.score("word", [four])
    assert list(late._kept) == [2, 0, 3]
    before = embedder.token_texts
    late.score("word", [one, three, four])
    assert embedder.token_texts == before + 1


def test_late_passage_larger_than_the_cache_is_scored_and_not_kept():
    late = LateInteraction(TokenHashingEmbedder(), 3 * 48 * 4)
    assert late.score("a", [chunk_of(1, "a b c d e f g")]) == pytest.approx([1.0])
    assert (held(late), late._bytes) == (0, 0)


def test_late_same_passage_twice_is_counted_once():
    late = LateInteraction(TokenHashingEmbedder())
    first, second = late.score("b", [chunk_of(1, "a b"), chunk_of(1, "a b")])
    assert first == second == pytest.approx(1.0)
    assert held(late) == late._bytes == 2 * 48 * 4


def test_late_threads_get_the_same_scores_and_the_limit_holds(notes):
    embedder = TokenHashingEmbedder()
    late = LateInteraction(embedder, 48 * 4 * 60)
    expected = [plain_maxsim(embedder, "w1 w5 w70", chunk) for chunk in notes]

    def ask(seed):
        picked = np.random.default_rng(seed).permutation(30)[:12]
        return picked, late.score("w1 w5 w70", [notes[n] for n in picked])

    with ThreadPoolExecutor(8) as pool:
        for picked, scores in pool.map(ask, range(60)):
            assert scores == pytest.approx([expected[n] for n in picked], abs=1e-6)
    assert held(late) == late._bytes <= 48 * 4 * 60


def test_late_with_an_embedder_without_token_vectors_says_so():
    with pytest.raises(SettingsError, match=r"HashingEmbedder returns no token vectors.*\n.*rerank=None"):
        LateInteraction(HashingEmbedder())
