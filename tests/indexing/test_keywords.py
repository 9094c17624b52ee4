"""Keyword folders: what is added is found, in any script; a query is never syntax."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import IndexDamagedError
from ragkit.indexing.keywords import KeywordFile, extend_keywords

TEXTS = {
    1: "The ferries to Sandholm leave at seven in the morning.",
    2: "Our goat cheese ripens for eight weeks in a cellar.",
    3: "A bicycle may be borrowed at the library for two days.",
    4: "Die Fähre nach Sandholm fährt um sieben Uhr morgens ab.",
    5: "北京是中华人民共和国的首都，也是文化中心。",
    6: "تغادر العبارة إلى الجزيرة في السابعة صباحا",
    7: "東京タワーは日本の首都にあります。",
    8: "서울은 대한민국의 수도입니다.",
    9: "The warranty AND the price: 12,50 EUR (net) for model XR-7.",
}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keywords") / "one"
    extend_keywords(None, folder, TEXTS.items())
    return KeywordFile(folder)


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("when does the ferry leave", 1),
        ("CHEESES", 2),
        ("bicycles", 3),
        ("Fähre", 4),
        ("中华人民共和国的首都", 5),
        ("العبارة الجزيرة", 6),
        ("東京", 7),
        ("대한민국", 8),
        ("XR-7", 9),
    ],
)
def test_search_finds(words, query, key):
    assert words.search(query, 3)[0][0] == key


@pytest.mark.parametrize(
    "query",
    ['price AND "(*', "+price -warranty", "text:price", "price^9", "[q-z] price", "price~2", "/price/", "pri*ce price"],
)
def test_search_takes_query_syntax_for_words(words, query):
    assert words.search(query, 3)[0].tolist() == [9]


@pytest.mark.parametrize("query", ["", "   ", '!?*"()', "\0", "🙂", "key:1", "\ud800"])
def test_search_for_no_words_is_empty(words, query):
    assert len(words.search(query, 3)[0]) == 0


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_search_takes_any_text(words, query):
    keys, scores = words.search(query, 5)
    assert len(keys) == len(scores) <= 5
    assert set(keys.tolist()) <= set(TEXTS)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """4,000 chunks of words of different rarity; chunk ``n`` holds the word ``number<n>`` and no other does."""
    folder = tmp_path_factory.mktemp("keywords") / "many"
    random = np.random.default_rng(1)
    rows = []
    for key in range(4000):
        chosen = " ".join(f"word{n}" for n in random.zipf(1.4, 12) if n < 1000)
        rows.append((key, f"number{key} common {chosen}"))
    extend_keywords(None, folder, rows)
    return KeywordFile(folder), dict(rows)


def holders(rows, word, among):
    return {key for key in among if word in rows[key].split()}


@pytest.mark.parametrize("size", [1, 5, 40, 400, 2000])
def test_search_among_allowed_keys_gives_k_hits_where_they_exist(many, size):
    words, rows = many
    allowed = np.sort(np.random.default_rng(size).choice(4000, size, replace=False)).astype(np.int64)
    wanted = holders(rows, "word3", allowed.tolist())
    keys, scores = words.search("word3", 10, allowed=allowed)
    assert len(keys) == min(10, len(wanted))
    assert set(keys.tolist()) <= wanted
    # A filter changes which chunks come, not their scores or order.
    everything = words.search("word3", 4000)
    kept = np.isin(everything[0], allowed)
    assert keys.tolist() == everything[0][kept][:10].tolist()
    np.testing.assert_allclose(scores, everything[1][kept][:10], rtol=1e-5)


def test_search_filtered_after_the_query_gives_what_the_filter_in_it_gives(many, monkeypatch):
    words, _ = many
    allowed = np.arange(0, 4000, 3, dtype=np.int64)
    inside = words.search("word2 word5", 20, allowed=allowed)
    monkeypatch.setattr("ragkit.indexing.keywords._SET_BELOW", 0)
    after = words.search("word2 word5", 20, allowed=allowed)
    assert inside[0].tolist() == after[0].tolist()
    np.testing.assert_allclose(inside[1], after[1], rtol=1e-5)


def test_search_leaves_denied_keys_out_and_gives_k_others(many):
    words, _ = many
    first = words.search("common", 50)[0]
    keys = words.search("common", 10, denied=np.sort(first))[0]
    assert len(keys) == 10
    assert not set(keys.tolist()) & set(first.tolist())


def test_search_where_all_but_one_is_denied_finds_it(many):
    words, _ = many
    denied = np.delete(np.arange(4000, dtype=np.int64), 1234)
    assert words.search("common", 3, denied=denied)[0].tolist() == [1234]


def test_search_settles_ties_by_key(tmp_path):
    extend_keywords(None, tmp_path / "ties", [(key, "the same words") for key in (9, 3, 7, 1, 5)])
    assert KeywordFile(tmp_path / "ties").search("same words", 3)[0].tolist() == [1, 3, 5]


def test_search_for_a_billion_hits_gives_all_there_are(many):
    assert len(many[0].search("common", 10**9)[0]) == 4000


def test_terms_of_a_long_query_are_the_rarest_and_not_too_many(many):
    words, _ = many
    query = " ".join(["common"] * 10 + [f"unknown{n}" for n in range(60_000)] + ["number77 number78"])
    assert len(query) > 600_000
    terms = words.terms(query)
    assert len(terms) == 1024
    assert {"number77", "number78"} <= set(terms)
    assert set(words.search(query, 2)[0].tolist()) == {77, 78}


def test_extend_adds_and_deletes_and_leaves_the_one_before_as_it_was(tmp_path):
    extend_keywords(None, tmp_path / "one", TEXTS.items())
    before = {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()}
    extend_keywords(tmp_path / "one", tmp_path / "two", [(20, "A new ferry was bought.")], delete=[1, 2])
    assert {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()} == before
    old, new = KeywordFile(tmp_path / "one"), KeywordFile(tmp_path / "two")
    assert (old.rows, new.rows) == (9, 8)
    assert old.search("ferry", 9)[0].tolist() == [1]
    assert new.search("ferry", 9)[0].tolist() == [20]
    assert len(new.search("cheese", 9)[0]) == 0
    assert new.search("bicycle", 9)[0].tolist() == [3]


def test_extend_shares_what_it_does_not_change(tmp_path):
    extend_keywords(None, tmp_path / "one", TEXTS.items())
    extend_keywords(tmp_path / "one", tmp_path / "two", [(20, "A new ferry was bought.")])
    inodes = [{file.stat().st_ino for file in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert inodes[0] & inodes[1]
    assert not list(tmp_path.glob("*/*.lock"))


def test_extend_over_many_generations_holds_everything(tmp_path):
    previous = None
    for generation in range(25):
        folder = tmp_path / str(generation)
        rows = [(generation * 10 + n, f"common number{generation * 10 + n}") for n in range(10)]
        extend_keywords(previous, folder, rows, delete=[generation * 10 - 10] if generation else [])
        previous = folder
    words = KeywordFile(previous)
    assert words.rows == 250 - 24
    assert sorted(words.search("common", 1000)[0].tolist()) == [n for n in range(250) if n % 10 or n == 240]


def test_open_of_something_else_says_so(tmp_path):
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(IndexDamagedError, match="can't be read as a keyword index"):
        KeywordFile(tmp_path)
