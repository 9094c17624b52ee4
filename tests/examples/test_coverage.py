"""Coverage by token vectors: what is kept of them, what they cost, and what they find that neighbours don't."""

import sqlite3

import numpy as np
import pytest

from ragkit.errors import IndexDamagedError, SettingsError
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions
from ragkit.examples.choosing import coverage
from ragkit.examples.token_vectors import FILE_NAME, TokenVectors, token_weights
from ragkit.records import Example
from tests.examples.conftest import EXAMPLES
from tests.indexing.hashing import HashingEmbedder

ACTIONS = ["book", "cancel", "move", "confirm"]
THINGS = ["the flight", "the dentist visit", "the dinner", "the piano lesson"]
PEOPLE = ["with my boss", "with Anna", "with the neighbour", "with the children"]
TEXTS = [example.input for example in EXAMPLES]


@pytest.fixture(scope="module")
def embedder(pool):
    return pool.index.embedder


@pytest.fixture
def tokens(tmp_path, embedder):
    opened = TokenVectors(tmp_path, embedder)
    yield opened
    opened.close()


def exact(embedder, text, texts):
    asked = embedder.embed_tokens([text], "document")[0]
    return np.array([(embedder.embed_tokens([other], "document")[0] @ asked.T).max(axis=0) for other in texts])


class Counting:
    """The real embedder, and how many texts it was given."""

    def __init__(self, embedder):
        self._embedder = embedder
        self.model_id, self.dimension = embedder.model_id, embedder.dimension
        self.texts = 0

    def embed_tokens(self, texts, kind="document"):
        self.texts += len(texts)
        return self._embedder.embed_tokens(texts, kind)


def test_similarity_is_the_highest_cosine_to_each_token(tokens, embedder):
    found = tokens.similarity(["I lost my PIN abroad"], TEXTS)
    assert found == pytest.approx(exact(embedder, "I lost my PIN abroad", TEXTS), abs=0.01)
    assert tokens.similarity([TEXTS[3]], [TEXTS[3]]) == pytest.approx(1, abs=0.01)


def test_tokens_of_a_long_input_are_those_of_its_parts(tokens):
    both = tokens.similarity([TEXTS[0], TEXTS[9]], TEXTS)
    apart = [tokens.similarity([text], TEXTS) for text in (TEXTS[0], TEXTS[9])]
    assert both == pytest.approx(np.hstack(apart))


def test_text_is_embedded_once_and_never_again(tmp_path, embedder):
    counting = Counting(embedder)
    first = TokenVectors(tmp_path, counting)
    told = []
    assert first.prepare([*TEXTS, TEXTS[0]], len(TEXTS) + 1, told.append) == len(TEXTS)
    assert (told[-1].stage, told[-1].done, told[-1].total) == ("tokens", len(TEXTS) + 1, len(TEXTS) + 1)
    assert first.prepare(TEXTS) == 0
    first.close()
    again = TokenVectors(tmp_path, counting)
    counting.texts = 0
    again.similarity(["where is it"], TEXTS)
    assert counting.texts == 1
    again.similarity(["where is it"], [*TEXTS, "a text that is new"])
    assert counting.texts == 3
    again.close()


def test_row_that_is_damaged_is_made_again(tokens, embedder):
    right = tokens.similarity(["lost card"], TEXTS[:3])
    with sqlite3.connect(tokens.path) as connection:
        connection.execute("UPDATE tokens SET vectors = zeroblob(length(vectors)) WHERE rowid = 2")
    assert tokens.similarity(["lost card"], TEXTS[:3]) == pytest.approx(right)
    assert tokens.prepare(TEXTS[:3]) == 0


def test_file_that_is_no_database_says_what_to_do(tmp_path, embedder):
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(IndexDamagedError, match="Delete"):
        TokenVectors(tmp_path, embedder)


def test_folder_that_can_not_be_written_keeps_nothing(tmp_path, embedder):
    counting = Counting(embedder)
    opened = TokenVectors(tmp_path / "none", counting)
    for _ in range(2):
        assert opened.similarity(["lost card"], TEXTS[:3]).shape[0] == 3
    assert counting.texts == 8
    assert not (tmp_path / "none").exists()


def test_embedder_without_token_vectors_is_refused_with_what_to_use(tmp_path):
    with ExamplePool.create(tmp_path / "p", embedder=HashingEmbedder()) as pool:
        pool.add(EXAMPLES[:3])
        with pytest.raises(SettingsError, match="keyword_coverage"):
            DynamicSelector(pool, SelectorOptions(choice="coverage")).select("my card")


def test_rare_words_weigh_more_and_signs_nothing(pool):
    text = "is my card, or the telescope, lost?"
    spans = pool.index.embedder.tokenizer.offsets(text)
    weights = dict(zip([text[a:b] for a, b in spans], token_weights(pool.index, [text], len(spans)), strict=True))
    assert weights["telescope"] > weights["lost"] > weights["card"] > weights[","] == weights["?"] == 0


def test_weights_are_equal_where_nothing_tells_words_apart(pool):
    assert token_weights(pool.index, ["?!"], 2).tolist() == [1, 1]
    assert token_weights(pool.index, ["my card"], 5).tolist() == [1] * 5


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Inputs of three parts each; no two of the pool that a query asks for stand together."""
    random = np.random.default_rng(4)
    rows = {f"{a} {t} {p}": f"{a} {t} {p}" for a in ACTIONS for t in THINGS for p in PEOPLE}
    held = [str(one) for one in random.permutation(list(rows))[:12]]
    clutter = {f"please {text} {when}": text for text in rows for when in ("today", "tomorrow") if text not in held}
    # Of each query the pool has single parts only: else the nearest example would have them all.
    some = {text: parts for text, parts in clutter.items() if random.random() < 0.3}
    with ExamplePool.create(tmp_path_factory.mktemp("parts") / "pool") as opened:
        opened.add([Example(text, parts) for text, parts in some.items()])
        assert opened.prepare_tokens() == len(some)
        assert opened.prepare_tokens() == 0
        yield opened, held


def covered(shots, query):
    wanted = [part for group in (ACTIONS, THINGS, PEOPLE) for part in group if part in query]
    assert len(wanted) == 3
    return sum(any(part in shot.example.input for shot in shots) for part in wanted) / 3


@pytest.mark.parametrize("choice", ["coverage", "keyword_coverage"])
def test_coverage_finds_parts_that_neighbours_leave_out(parts, choice):
    pool, held = parts
    found = {
        way: np.mean([covered(DynamicSelector(pool, SelectorOptions(choice=way)).select(q, 2), q) for q in held])
        for way in ("best", choice)
    }
    assert found[choice] > found["best"]
    assert found[choice] > 0.95


def test_selection_is_that_of_exact_token_vectors(parts):
    pool, held = parts
    selector = DynamicSelector(pool, SelectorOptions(choice="coverage", order="best_first", candidates=30))
    same = 0
    for query in held:
        ranked = DynamicSelector(pool, SelectorOptions(order="best_first")).select(query, 30)
        similarity = exact(pool.index.embedder, query, [shot.example.input for shot in ranked])
        chosen = coverage(similarity, token_weights(pool.index, [query], similarity.shape[1]), 2)
        same += [ranked[n].example for n in chosen] == [shot.example for shot in selector.select(query, 2)]
    # Rounding to 8 bits may turn what nearly ties.
    assert same >= len(held) - 1
