"""Keyword folders: what is added is found, in any script; a query is never syntax."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit import Index
from ragkit.errors import IndexDamagedError
from ragkit.indexing import analysis, writing
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
    10: "เรือข้ามฟากออกเดินทางเวลาเจ็ดโมงเช้า",
    11: "ເຮືອຂ້າມຟາກອອກເດີນທາງ",
    12: "សាឡាងចេញដំណើរនៅម៉ោងប្រាំពីរព្រឹក",
    13: "ကူးတို့သင်္ဘောသည်မနက်ခုနစ်နာရီတွင်ထွက်ခွာသည်",
    14: "नाव सुबह सात बजे चलती है, ऐसा हिन्दी में लिखा है",
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
        ("เดินทาง", 10),
        ("ອອກ", 11),
        ("ដំណើរ", 12),
        ("မနက်", 13),
        ("हिन्दी", 14),
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


@settings(max_examples=200)
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
    assert (old.rows, new.rows) == (14, 13)
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


HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SAME = [
    ("ERR-4102", "ERR4102"),
    ("err_4102", "ERR\u20114102"),
    ("550e8400-e29b-41d4-a716-446655440000", "550E8400E29B41D4A716446655440000"),
    ("wi-fi", "WiFi"),
    ("café", "CAFE"),
    ("café", "cafe\u0301"),
    ("Łódź", "lodz"),
    ("Søren", "soren"),
    ("straße", "STRASSE"),
    ("İstanbul", "istanbul"),
    ("Ελλάδα", "ΕΛΛΑΔΑ"),
    ("ёлка", "елка"),
    ("مُحَمَّد", "محمد"),
    ("أحمد", "احمد"),
    ("שָׁלוֹם", "שלום"),
    ("phở", "PHO\u031b\u0309"),
    ("ﬁnal", "final"),
    ("ｆｕｌｌ", "full"),
    ("ﾀﾜｰ", "タワー"),
    ("infor\u00admation", "information"),
    (HASH, HASH.upper()),
    (HASH * 2, HASH * 2),
    ("A" * 5000, "a" * 5000),
]


@pytest.mark.parametrize(("one", "other"), [*SAME, *(pair[::-1] for pair in SAME)])
def test_search_finds_another_spelling_first(tmp_path, one, other):
    extend_keywords(None, tmp_path / "k", [(1, "other words"), (2, f"before {one}, after"), (3, "err, 550e8400 and a")])
    assert KeywordFile(tmp_path / "k").search(other, 9)[0].tolist()[0] == 2


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_terms_are_the_same_for_what_is_folded_already(text):
    found = list(analysis.terms(text))
    assert list(analysis.terms(analysis.fold(text))) == found
    assert not any(character.isspace() for term in found for character in term)


def test_terms_hold_every_letter_and_digit_of_a_text():
    for text in TEXTS.values():
        held = set("".join(analysis.terms(text)))
        assert {c for c in analysis.fold(text) if c.isalnum()} <= held


@pytest.fixture
def old_index(tmp_path, make_document, hashing, monkeypatch):
    """An index whose keywords were made by an older analysis, which knew no accents."""
    with monkeypatch.context() as older:
        older.setattr("ragkit.indexing.writing.ANALYZER", "1")
        older.setattr("ragkit.indexing.keywords.terms", str.split)
        with Index.create(tmp_path / "index", embedder=hashing) as index:
            index.add(make_document("a", "Ein café in Łódź"), make_document("b", "Ein anderes Haus"))
    return tmp_path / "index"


def found(index, text):
    return [index.chunks([key])[0][1].source for key in index.search_keywords(text, 9)[0].tolist()]


def test_open_rebuilds_keywords_of_another_analysis_once(old_index, hashing):
    with Index.open(old_index, embedder=hashing) as index:
        assert found(index, "lodz") == ["a"]
        assert found(index, "haus") == ["b"]
        generation = index.generation
        assert len(list((old_index / "segments").glob("keywords-*"))) == 1
    with Index.open(old_index, embedder=hashing) as index:
        assert index.generation == generation
        assert index.verify().damage == ()


def test_open_while_another_writes_serves_the_old_keywords_and_the_next_commit_rebuilds(
    old_index, make_document, hashing
):
    with writing.writer_lock(old_index):
        index = Index.open(old_index, embedder=hashing)
    with index:
        assert found(index, "in") == ["a"]
        index.add(make_document("c", "Ein neues Café"))
        assert sorted(found(index, "CAFE")) == ["a", "c"]
        assert index.verify().damage == ()
