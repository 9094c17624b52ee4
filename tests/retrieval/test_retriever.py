"""A query to hits on real indexes: the sample documents by the default model, and many notes by a fast one."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise

import numpy as np
import pytest

from ragkit import Index
from ragkit.errors import QueryError, SettingsError
from ragkit.indexing import Field
from ragkit.indexing.filter_text import parse_filter
from ragkit.indexing.filters import evaluate
from ragkit.retrieval import RetrievalOptions, Retriever
from ragkit.retrieval.fusion import min_max_normalize
from ragkit.retrieval.retriever import _DIVERSIFIED, _LATE_SHARE, LONGEST_QUERY
from tests.indexing.hashing import HashingEmbedder
from tests.retrieval.test_late_interaction import plain_maxsim
from tests.retrieval.test_mmr import plain_mmr

MODES = ["dense", "keyword", "hybrid"]
ALL = 10**9
QUESTIONS = [
    "When does the last bus back leave?",
    "What does a family ticket cost?",
    "How long should the mirror cool before observing?",
    "Where are tripods allowed?",
    "Wie lange gilt eine Reservierung?",
]
NOTES_QUERY = "a note of word3 word17 and word42"


def search(index, query, k=None, where=None, **options):
    return Retriever(index, RetrievalOptions(**options)).search(query, k, where)


def keys_of(hits):
    return [hit.chunk.key for hit in hits]


def assert_falling(hits):
    assert all(before.score >= after.score for before, after in pairwise(hits)), [hit.score for hit in hits]


def all_rows(index):
    return index.chunks(range(1, index.chunk_count + 1))


def fields_of(info):
    own = {name: getattr(info, name) for name in ("source", "origin", "title", "media_type", "sha256")}
    return {**info.metadata, **own}


def embedded(index, query):
    return index.embedder.embed([query], "query")[0]


# Modes


@pytest.mark.parametrize(
    ("question", "mode", "expected"),
    [
        (QUESTIONS[0], "hybrid", "23:10"),
        (QUESTIONS[1], "hybrid", "46.00"),
        (QUESTIONS[2], "dense", "forty minutes"),
        (QUESTIONS[2], "keyword", "forty minutes"),
        (QUESTIONS[3], "hybrid", "terrace"),
    ],
)
def test_search_finds_the_passage(samples, question, mode, expected):
    assert any(expected in " ".join(hit.chunk.text.split()) for hit in search(samples, question, 3, mode=mode))


@pytest.mark.parametrize("question", QUESTIONS)
def test_dense_is_the_order_of_cosines(samples, question):
    found = search(samples, question, ALL, mode="dense")
    rows = all_rows(samples)
    cosines = samples.vectors([chunk for chunk, _ in rows]) @ embedded(samples, question)
    expected = {chunk.key: float(cosine) for (chunk, _), cosine in zip(rows, cosines, strict=True)}
    assert {hit.chunk.key: hit.score for hit in found} == pytest.approx(expected, abs=2e-3)
    assert all(hit.scores == {"dense": hit.score} for hit in found)
    assert_falling(found)


def test_keyword_is_the_order_of_the_keyword_index(samples):
    keys, scores = samples.search_keywords("ticket price", ALL)
    found = search(samples, "ticket price", ALL, mode="keyword")
    assert 0 < len(found) < samples.chunk_count
    assert [(hit.chunk.key, hit.score) for hit in found] == list(zip(keys.tolist(), scores.tolist(), strict=True))
    assert all(hit.scores == {"keyword": hit.score} for hit in found)


@pytest.mark.parametrize("fusion", ["convex", "rrf"])
def test_hybrid_hits_carry_the_score_of_each_searcher_that_found_them(samples, fusion):
    question = QUESTIONS[2]
    dense = dict(zip(*(a.tolist() for a in samples.search_vectors(embedded(samples, question), 10)), strict=True))
    words = dict(zip(*(a.tolist() for a in samples.search_keywords(question, 10)), strict=True))
    found = search(samples, question, 10, fusion=fusion, candidates=10)
    for hit in found:
        key = hit.chunk.key
        expected = {"fused": hit.score}
        expected |= {"dense": dense[key]} if key in dense else {}
        expected |= {"keyword": words[key]} if key in words else {}
        assert hit.scores == expected
    assert {len(hit.scores) for hit in found} == {2, 3}


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_hybrid_rrf_is_the_weighted_sum_over_both_lists(samples, weight):
    question = QUESTIONS[0]
    dense = samples.search_vectors(embedded(samples, question), 12)[0].tolist()
    words = samples.search_keywords(question, 12)[0].tolist()
    expected = dict.fromkeys([*dense, *words], 0.0)
    for rank, key in enumerate(dense, 1):
        expected[key] += (1 - weight) / (60 + rank)
    for rank, key in enumerate(words, 1):
        expected[key] += weight / (60 + rank)
    found = search(samples, question, 12, fusion="rrf", candidates=3, keyword_weight=weight)
    assert keys_of(found) == sorted(expected, key=lambda key: (-expected[key], key))[:12]
    assert [hit.score for hit in found] == pytest.approx([expected[key] for key in keys_of(found)], rel=1e-9)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_hybrid_convex_is_the_weighted_sum_of_relative_scores(samples, weight):
    question = QUESTIONS[0]
    dense = dict(zip(*(a.tolist() for a in samples.search_vectors(embedded(samples, question), 100)), strict=True))
    words = dict(zip(*(a.tolist() for a in samples.search_keywords(question, 100)), strict=True))
    nearest, heaviest = max(dense.values()), max(words.values())
    assert min(dense.values()) > -nearest
    expected = {
        key: (1 - weight) * cosine / nearest + weight * words.get(key, 0.0) / heaviest for key, cosine in dense.items()
    }
    found = search(samples, question, ALL, keyword_weight=weight)
    assert {hit.chunk.key: hit.score for hit in found} == pytest.approx(expected, abs=1e-6)
    assert len(found) == samples.chunk_count


def test_hybrid_candidates_bound_the_lists_and_k_widens_them(many):
    few = Retriever(many, RetrievalOptions(candidates=5)).retrieve(NOTES_QUERY, 3)
    assert (few.found, len(few.hits)) == ({"dense": 5, "keyword": 5}, 3)
    more = Retriever(many, RetrievalOptions(candidates=5)).retrieve(NOTES_QUERY, 40)
    assert (more.found, len(more.hits)) == ({"dense": 40, "keyword": 40}, 40)


@pytest.mark.parametrize("fusion", ["convex", "rrf"])
@pytest.mark.parametrize("mode", MODES)
def test_ties_of_one_searcher_go_by_key(small, make_document, mode, fusion):
    texts = ["red green blue", "blue red green", "green blue red", "red blue green", "green red blue"]
    small.add(*[make_document(f"n{n}", text) for n, text in enumerate(texts)])
    found = search(small, "green", 5, mode=mode, fusion=fusion)
    assert keys_of(found) == [1, 2, 3, 4, 5]
    assert keys_of(search(small, "green", 2, mode=mode, fusion=fusion)) == [1, 2]
    if fusion == "convex" or mode != "hybrid":
        assert len({hit.score for hit in found}) == 1


@pytest.mark.parametrize("fusion", ["convex", "rrf"])
def test_ties_between_the_searchers_go_by_key(small, make_document, fusion):
    rare = "pear with many more words around it that make its vector point to some other place altogether"
    small.add(make_document("rare", rare), make_document("near", "apple"))
    small.add(*[make_document(f"n{n}", f"apple in a basket of straw number {n} by a door") for n in range(9)])
    retriever = Retriever(small, RetrievalOptions(candidates=1, fusion=fusion))
    found = retriever.retrieve("apple apple apple apple pear", 1)
    assert found.found == {"dense": 1, "keyword": 1}
    (hit,) = found.hits
    assert hit.document.source == "rare"
    assert set(hit.scores) == {"keyword", "fused"}
    nearest = int(small.search_vectors(embedded(small, "apple apple apple apple pear"), 1)[0][0])
    assert nearest > hit.chunk.key


# Order and repetition

STAGES = [
    {"fusion": "convex"},
    {"fusion": "rrf"},
    {"fusion": "rrf", "keyword_weight": 0.9},
    {"rerank": "late", "rerank_candidates": 1},
    {"rerank": "late", "rerank_candidates": 4},
    {"rerank": "late", "rerank_candidates": 100},
    {"mode": "dense", "rerank": "late", "rerank_candidates": 5},
    {"mode": "keyword", "rerank": "late", "rerank_candidates": 3},
    {"diversity": 0.3},
    {"diversity": 1.0},
    {"mode": "keyword", "diversity": 0.6},
    {"rerank": "late", "rerank_candidates": 6, "diversity": 0.5},
]


@pytest.mark.parametrize("options", STAGES, ids=str)
def test_hits_fall_by_score_and_come_again(samples, options):
    retriever = Retriever(samples, RetrievalOptions(**options))
    for question in QUESTIONS[:3]:
        found = retriever.search(question, 12)
        assert len(set(keys_of(found))) == len(found) > 5
        assert_falling(found)
        assert retriever.search(question, 12) == found
    assert search(samples, QUESTIONS[2], 12, **options) == found


def test_fewer_hits_are_the_first_of_more(samples):
    for mode in MODES:
        more = search(samples, QUESTIONS[0], 20, mode=mode)
        for k in (1, 3, 8):
            assert search(samples, QUESTIONS[0], k, mode=mode) == more[:k]


def test_threads_get_what_one_gets(many):
    retriever = Retriever(many, RetrievalOptions(k=6, rerank="late", diversity=0.4))
    queries = [f"note of word{n} and word{(7 * n) % 60}" for n in range(24)]
    alone = [Retriever(many, retriever.options).search(query) for query in queries]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(retriever.search, queries)) == alone


def test_options_k_is_the_default_and_the_calls_k_wins(samples):
    retriever = Retriever(samples, RetrievalOptions(k=3))
    assert [len(retriever.search("telescope", k)) for k in (None, 1, 5)] == [3, 1, 5]
    assert len(Retriever(samples).search("telescope")) == RetrievalOptions().k


# Rerank


@pytest.mark.parametrize("mode", MODES)
def test_late_head_is_reranked_and_the_tail_keeps_its_order(samples, mode):
    changed = 0
    retriever = Retriever(samples, RetrievalOptions(mode=mode, rerank="late", rerank_candidates=5))
    for question in QUESTIONS[:4]:
        plain = search(samples, question, 12, mode=mode)
        found = retriever.search(question, 12)
        assert sorted(keys_of(found[:5])) == sorted(keys_of(plain[:5]))
        assert keys_of(found[5:]) == keys_of(plain[5:])
        assert [hit.scores for hit in found[5:]] == [hit.scores for hit in plain[5:]]
        before = {hit.chunk.key: hit.scores for hit in plain}
        assert all(hit.scores == {**before[hit.chunk.key], "rerank": hit.score} for hit in found[:5])
        steps = [one.score - two.score for one, two in pairwise(plain[5:])]
        assert [one.score - two.score for one, two in pairwise(found[5:])] == pytest.approx(steps, abs=1e-5)
        changed += keys_of(found[:5]) != keys_of(plain[:5])
    assert changed


def test_late_score_is_shared_with_the_search_before(samples):
    question = QUESTIONS[1]
    plain = search(samples, question, 6)
    late = min_max_normalize([plain_maxsim(samples.embedder, question, hit.chunk) for hit in plain])
    before = min_max_normalize([hit.score for hit in plain])
    expected = dict(zip(keys_of(plain), _LATE_SHARE * late + (1 - _LATE_SHARE) * before, strict=True))
    found = search(samples, question, 6, rerank="late", rerank_candidates=6)
    assert {hit.chunk.key: hit.score for hit in found} == pytest.approx(expected, abs=0.03)
    assert np.ptp(late) == 1.0


def test_late_takes_more_candidates_than_are_asked_for(samples):
    wide = search(samples, QUESTIONS[0], 12, rerank="late", rerank_candidates=12)
    assert search(samples, QUESTIONS[0], 2, rerank="late", rerank_candidates=12) == wide[:2]


def test_late_for_a_query_without_tokens_keeps_the_order(small, make_document):
    small.add(*[make_document(f"n{n}", f"word{n} and some more") for n in range(6)])
    plain = search(small, "?!", 6, mode="dense")
    found = search(small, "?!", 6, mode="dense", rerank="late")
    assert keys_of(found) == keys_of(plain)


def test_late_with_an_index_whose_embedder_has_no_token_vectors(tmp_path, make_document):
    with Index.create(tmp_path / "index", embedder=HashingEmbedder()) as index:
        index.add(make_document("a", "A note."))
        assert len(search(index, "note")) == 1
        with pytest.raises(SettingsError, match="returns no token vectors"):
            search(index, "note", rerank="late")


# Diversity


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.8])
def test_diversity_is_mmr_over_four_times_as_many_hits(many, diversity):
    k = 7
    pool = search(many, NOTES_QUERY, 4 * k)
    vectors = many.vectors([hit.chunk for hit in pool])
    chosen, gains = plain_mmr(min_max_normalize([hit.score for hit in pool]), vectors, k, 1 - diversity)
    found = search(many, NOTES_QUERY, k, diversity=diversity)
    # The pool is the same whether asked for as k or as candidates: both lists are 100 long.
    assert keys_of(found) == [pool[n].chunk.key for n in chosen]
    assert [hit.score for hit in found] == pytest.approx(gains, abs=1e-4)
    assert all(hit.scores["mmr"] == hit.score for hit in found)
    assert [hit.scores["fused"] for hit in found] == [pool[n].score for n in chosen]


def test_diversity_of_0_keeps_the_order_and_scores(many):
    assert all("mmr" not in hit.scores for hit in search(many, NOTES_QUERY, 7, diversity=0.0))
    assert search(many, NOTES_QUERY, 7, diversity=0.0) == search(many, NOTES_QUERY, 7)


def test_diversity_leaves_out_a_twin(small, make_document):
    small.add(
        make_document("one", "ferry to the island at seven"),
        make_document("twin", "at seven ferry to the island"),
        make_document("other", "ferry timetable of the winter months in full"),
        make_document("far", "goat cheese ripens in cellars"),
    )
    assert [hit.document.source for hit in search(small, "ferry to the island", 2)] == ["one", "twin"]
    assert [hit.document.source for hit in search(small, "ferry to the island", 2, diversity=0.5)] == ["one", "other"]


@pytest.mark.parametrize("k", [_DIVERSIFIED - 1, _DIVERSIFIED, _DIVERSIFIED + 60, ALL])
def test_diversity_of_more_hits_than_are_chosen_one_by_one(many, k):
    plain = search(many, "note", ALL, mode="dense")
    found = search(many, "note", k, mode="dense", diversity=0.5)
    assert len(set(keys_of(found))) == len(found) == min(k, len(plain))
    assert_falling(found)
    assert [hit.chunk.key for hit in found[_DIVERSIFIED:]] == keys_of(plain)[_DIVERSIFIED : len(found)]
    assert set(keys_of(found[:_DIVERSIFIED])) <= set(keys_of(plain[:_DIVERSIFIED]))
    assert keys_of(found) != keys_of(plain[: len(found)])


# Filters

FILTERS = [
    "rare",
    "not rare",
    "rare and lang = 'de'",
    "year = 1917",
    "year < 1903 or year >= 1948 and lang != 'en'",
    "lang in ('de', 'fr') and year > 1940",
    "source = 'note-123'",
    "title = 'Note'",
    "year = 1917 and not (lang = 'en')",
]


@pytest.mark.parametrize("text", FILTERS)
@pytest.mark.parametrize("mode", MODES)
def test_where_gives_k_matching_hits_where_they_exist(many, mode, text):
    condition = parse_filter(text)
    matching = {chunk.key for chunk, info in all_rows(many) if evaluate(condition, fields_of(info))}
    assert matching
    retriever = Retriever(many, RetrievalOptions(mode=mode, candidates=10))
    for k in (1, 4, 30, ALL):
        found = retriever.search(NOTES_QUERY, k, text)
        # All notes hold the word "note", so each searcher can find each.
        assert len(set(keys_of(found))) == len(found) == min(k, len(matching))
        assert set(keys_of(found)) <= matching
        assert_falling(found)


@pytest.mark.parametrize("text", FILTERS)
@pytest.mark.parametrize("mode", ["dense", "keyword"])
def test_where_changes_no_score_and_no_order(many, mode, text):
    condition = parse_filter(text)
    everything = search(many, NOTES_QUERY, ALL, mode=mode)
    assert len(everything) == many.chunk_count
    expected = [hit for hit in everything if evaluate(condition, fields_of(hit.document))][:20]
    found = search(many, NOTES_QUERY, 20, condition, mode=mode)
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)
    assert keys_of(found) == keys_of(expected)


def test_where_on_the_sample_documents(samples):
    kinds = {info.media_type for info in samples.documents()}
    assert len(kinds) >= 4
    for kind in kinds:
        there = [chunk.key for chunk, info in all_rows(samples) if info.media_type == kind]
        for options in ({}, {"mode": "dense"}, {"rerank": "late", "rerank_candidates": 3}, {"diversity": 0.5}):
            found = search(samples, "ticket for the telescope", ALL, Field("media_type") == kind, **options)
            assert sorted(keys_of(found)) == there


@pytest.mark.parametrize("options", [{"mode": mode} for mode in MODES] + [{"rerank": "late"}, {"diversity": 0.5}])
def test_where_nothing_matches_gives_no_hits(many, options):
    found = Retriever(many, RetrievalOptions(**options)).retrieve("note", 5, "year > 3000")
    assert found.hits == ()
    assert found.best_cosine == 0.0
    assert set(found.found.values()) == {0}


@pytest.mark.parametrize("where", ["year >>= 3", "", "year =", 42, ["year = 3"]])
def test_where_that_is_no_filter_is_an_error(many, where):
    with pytest.raises(QueryError):
        Retriever(many).search("note", 3, where)


# What else a retrieval says


def test_retrieval_tells_stages_counts_and_the_best_cosine(samples):
    question = QUESTIONS[0]
    best = float(samples.search_vectors(embedded(samples, question), 1)[1][0])
    stages = {
        "dense": {"embed", "dense", "fuse", "fetch"},
        "keyword": {"keyword", "fuse", "fetch"},
        "hybrid": {"embed", "dense", "keyword", "fuse", "fetch"},
    }
    for mode in MODES:
        found = Retriever(samples, RetrievalOptions(mode=mode)).retrieve(question)
        assert found.query == question
        assert set(found.timings) == stages[mode]
        assert set(found.found) == {"dense", "keyword"} & stages[mode]
        assert found.best_cosine == pytest.approx(0.0 if mode == "keyword" else best, abs=1e-6)
    both = Retriever(samples, RetrievalOptions(rerank="late", diversity=0.5)).retrieve(question)
    assert set(both.timings) == {*stages["hybrid"], "rerank", "diversify"}
    assert both.best_cosine == pytest.approx(best, abs=1e-6)


def test_retriever_sees_what_is_added_replaced_and_removed(small, make_document):
    retriever = Retriever(small, RetrievalOptions(k=5, rerank="late"))
    small.add(make_document("a", "The stork nests on the mill."))
    (old,) = retriever.search("stork")
    small.add(make_document("b", "The stork has flown."), make_document("a", "A heron now nests on the mill."))
    assert [hit.document.source for hit in retriever.search("stork", 1)] == ["b"]
    found = retriever.search("nests on the mill", 1)[0]
    assert found.chunk.text == "A heron now nests on the mill."
    assert found.chunk.key != old.chunk.key
    small.remove("a")
    assert [hit.document.source for hit in retriever.search("mill", 5)] == ["b"]


@pytest.mark.parametrize("options", [{"mode": mode} for mode in MODES] + STAGES, ids=str)
def test_empty_index_gives_no_hits(small, options):
    found = Retriever(small, RetrievalOptions(**options)).retrieve("anything", 5)
    assert (found.hits, found.best_cosine) == ((), 0.0)


@pytest.mark.parametrize("options", [{"mode": "dense"}, {}, {"fusion": "rrf"}, {"rerank": "late"}, {"diversity": 0.4}])
def test_k_of_a_billion_gives_all_there_are(samples, options):
    found = search(samples, "telescope", ALL, **options)
    assert sorted(keys_of(found)) == list(range(1, samples.chunk_count + 1))
    assert_falling(found)


# Odd queries


@pytest.mark.parametrize(
    "query",
    [
        "\0",
        "a\0b",
        "\ud800",
        "mirror \udfff cool",
        'AND "( [ field:',
        "+mirror -dome",
        "text:mirror^9~2 /dome/ [a TO z]",
        "' OR 1=1; DROP TABLE chunks --",
        "最后一班车什么时候发车？",
        "متى تغادر آخر حافلة؟",
        "🔭🌙",
        "e\u0301\u200d\u202e",
        "*",
        "x",
        "mirror " * 300,
    ],
    ids=ascii,
)
def test_odd_query_is_taken_as_text(samples, query):
    for options in ({"mode": "dense"}, {}, {"rerank": "late", "rerank_candidates": 4, "diversity": 0.2}):
        found = search(samples, query, 6, **options)
        assert len(set(keys_of(found))) == 6
        assert all(np.isfinite(hit.score) for hit in found)
        assert_falling(found)
    expected = samples.search_keywords(query, 6)[0].tolist()
    assert keys_of(search(samples, query, 6, mode="keyword")) == expected


def test_query_syntax_means_nothing(samples):
    bare = search(samples, "mirror and not dome", 9, mode="keyword")
    assert len(bare) > 1
    assert search(samples, 'mirror AND NOT ("dome', 9, mode="keyword") == bare
    assert search(samples, "+mirror && ]and -not {dome~", 9, mode="keyword") == bare


def test_query_with_a_lone_surrogate_or_nul_still_finds(samples):
    for query in ("\ud800 family ticket cost", "family ticket\0 cost"):
        assert "46.00" in search(samples, query, 1)[0].chunk.text


def test_query_in_other_scripts_finds_its_note(tmp_path, samples, make_document):
    notes = {
        "zh": "最后一班车于二十三点十分发车。",
        "ar": "تغادر العبارة إلى الجزيرة في السابعة صباحا",
        "ja": "東京タワーは首都にあります。",
        "de": "Die Fähre nach Sandholm fährt um sieben Uhr ab.",
        "en": "The observatory opens at nine.",
    }
    with Index.create(tmp_path / "index", embedder=samples.embedder) as index:
        index.add(*[make_document(name, text, title=name) for name, text in notes.items()])
        for query, name in [("最后一班车", "zh"), ("العبارة", "ar"), ("東京", "ja"), ("Fähre", "de")]:
            for mode in ("keyword", "hybrid"):
                assert search(index, query, 1, mode=mode)[0].document.source == name


def test_query_of_the_most_characters_is_taken_and_one_more_is_not(many):
    retriever = Retriever(many, RetrievalOptions(rerank="late"))
    longest = ("note " * LONGEST_QUERY)[: LONGEST_QUERY - 1] + "x"
    assert len(longest) == LONGEST_QUERY
    assert len(retriever.search(longest, 5)) == 5
    with pytest.raises(QueryError, match="100,001 characters; 100,000 is the maximum"):
        retriever.search(longest + "x", 5)
    with pytest.raises(QueryError, match="1,048,576 characters"):
        retriever.search("n" * 2**20, 5)


# Errors


@pytest.mark.parametrize("query", ["", " ", "\n\t\u3000\u00a0"])
@pytest.mark.parametrize("mode", MODES)
def test_empty_query_is_an_error(many, mode, query):
    with pytest.raises(QueryError, match="The query is empty"):
        search(many, query, mode=mode)


@pytest.mark.parametrize("k", [0, -1, -(10**9)])
def test_k_below_1_is_an_error(many, k):
    with pytest.raises(QueryError, match=f"k is {k}"):
        Retriever(many).search("note", k)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "sparse"}, "Unknown mode 'sparse'.\nLegal values: hybrid, dense, keyword"),
        ({"mode": None}, "Unknown mode None"),
        ({"fusion": "sum"}, "Unknown fusion 'sum'.\nLegal values: convex, rrf"),
        ({"keyword_weight": 1.01}, "keyword_weight 1.01"),
        ({"keyword_weight": -0.01}, "keyword_weight -0.01"),
        ({"keyword_weight": float("nan")}, "keyword_weight nan"),
        ({"diversity": 2}, "diversity 2 must be between 0 and 1"),
        ({"diversity": -0.5}, "diversity -0.5"),
        ({"k": 0}, "k, candidates and rerank_candidates must be 1 or more"),
        ({"candidates": 0}, "must be 1 or more"),
        ({"rerank_candidates": -3}, "must be 1 or more"),
    ],
    ids=str,
)
def test_option_out_of_range_is_an_error(options, told):
    with pytest.raises(SettingsError) as caught:
        RetrievalOptions(**options)
    assert told in str(caught.value)


# Files with the same content


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"diversity": 0.3}, {"rerank": "late"}])
def test_copies_of_a_document_give_a_passage_once(small, make_document, mode, options):
    small.add(
        *[make_document(f"copy-{n:02}", "The ferry leaves at seven.", title=f"Copy {n}") for n in range(40)],
        *[make_document(f"other-{n}", f"The ferry to island {n} leaves late.") for n in range(6)],
    )
    hits = search(small, "When does the ferry leave?", k=5, mode=mode, candidates=10, **options)
    sources = [hit.document.source for hit in hits]
    assert len(sources) == 5
    assert sum(source.startswith("copy") for source in sources) <= 1
    every = search(small, "ferry leaves", k=ALL, mode=mode)
    assert len(every) == 7
    assert_falling(every)
    (hit,) = search(small, "ferry", mode=mode, where=Field("source") == "copy-17")
    assert hit.document.source == "copy-17"


def test_copies_that_are_cut_in_other_places_give_a_passage_once(small, make_document):
    text = " ".join(f"Sentence {n} tells of harbour {n}." for n in range(200))
    small.add(make_document("a", text, title="A"), make_document("b", text, title="A much longer title " * 3))
    hits = search(small, "Sentence 100 tells of harbour 100", k=ALL, mode="keyword")
    chosen = [hit.chunk for hit in hits]
    for before, after in combinations(chosen, 2):
        same_place = before.start <= (after.start + after.end) // 2 < before.end
        assert not same_place or before.document_id == after.document_id
    covered = {n for chunk in chosen for n in range(chunk.start, chunk.end)}
    assert all(text[n].isspace() for n in set(range(len(text))) - covered)


def test_equal_rows_of_one_file_are_all_found(small, make_document):
    rows = [make_document(f"table#row-{n}", "item: lamp") for n in range(3)]
    small.add(*[type(row)(**{**{s: getattr(row, s) for s in row.__slots__}, "origin": "table"}) for row in rows])
    assert len(search(small, "lamp", mode="keyword")) == 3
