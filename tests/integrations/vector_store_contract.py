"""What LangChain's standard suite leaves out of a vector store: filters, scores, numbers of rows, persistence, threads.

A store is tested by a subclass with the fixture ``store``, an empty store, and the method ``reopened``.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from langchain_core.documents import Document

BERLIN = timezone(timedelta(hours=2))
ROWS = {
    "dome": ("The dome of the observatory has 52 steps.", {"tenant": "a", "year": 1998, "source": "dome.md"}),
    "bus": ("The last bus leaves at 23:10 from the gate.", {"tenant": "b", "year": 2021, "source": "bus.md"}),
    "tram": ("The first tram leaves at 04:55 from the gate.", {"tenant": "a", "year": 2023, "draft": True}),
    "cafe": (
        "The café sells apple cake on Sundays.",
        {"tenant": "b", "year": 2023.5, "draft": False, "note": None, "place": {"floor": 3}},
    ),
    "shop": ("The shop sells star maps and postcards.", {"tenant": "a", "tags": ["shop", "maps", 7], "rank": 2}),
    "tour": ("A guided tour starts every hour.", {"tenant": "b", "tags": ["maps"], "day": date(2024, 5, 1)}),
    "rain": (
        "Tours are cancelled in heavy rain.",
        {"tenant": "a", "day": date(2024, 11, 3), "seen": datetime(2024, 5, 1, 1, 30, tzinfo=BERLIN)},
    ),
    "lift": (
        "There is no lift to the platform.",
        {"tenant": "b", "place": {"floor": 3, "$wing": "east"}, "year": 2021},
    ),
}
FILTERS = [
    ({"tenant": "a"}, {"dome", "tram", "shop", "rain"}),
    ({"tenant": {"$eq": "b"}, "year": 2021}, {"bus", "lift"}),
    ({"tenant": {"$ne": "a"}}, {"bus", "cafe", "tour", "lift"}),
    ({"year": {"$gte": 2021, "$lt": 2023.5}}, {"bus", "tram", "lift"}),
    ({"year": {"$gt": 2023}}, {"cafe"}),
    ({"year": {"$between": [1990, 2021]}}, {"dome", "bus", "lift"}),
    ({"year": {"$in": [1998, 2023]}}, {"dome", "tram"}),
    ({"year": {"$in": []}}, set()),
    ({"year": {"$nin": [1998, 2021, 2023]}}, {"cafe", "shop", "tour", "rain"}),
    ({"year": "2021"}, set()),
    ({"draft": True}, {"tram"}),
    ({"draft": {"$exists": True}}, {"tram", "cafe"}),
    ({"draft": None, "tenant": "b"}, {"bus", "tour", "lift"}),
    ({"draft": {"$in": [True, None]}, "tenant": "a"}, {"dome", "tram", "shop", "rain"}),
    ({"draft": {"$ne": None}}, {"tram", "cafe"}),
    ({"source": "bus.md"}, {"bus"}),
    ({"tags": "maps"}, {"shop", "tour"}),
    ({"tags": {"$in": ["shop", 9]}}, {"shop"}),
    ({"tags": 7.0}, {"shop"}),
    ({"tags": ["maps"]}, {"tour"}),
    ({"tags": {"$ne": "maps"}, "tenant": "a"}, {"dome", "tram", "rain"}),
    ({"tags": {"$gt": "A"}}, set()),
    ({"day": date(2024, 5, 1)}, {"tour"}),
    ({"day": {"$gt": date(2024, 5, 1)}}, {"rain"}),
    ({"seen": datetime(2024, 4, 30, 23, 30, tzinfo=UTC)}, {"rain"}),
    ({"seen": {"$lt": datetime(2024, 5, 1, tzinfo=UTC)}}, {"rain"}),
    ({"place": {"floor": 3}}, {"cafe"}),
    ({"$or": [{"tags": "shop"}, {"$and": [{"year": 2021}, {"tenant": "b"}]}]}, {"shop", "bus", "lift"}),
    ({"$not": {"tenant": "a"}}, {"bus", "cafe", "tour", "lift"}),
    ({"year": {"$not": {"$gte": 2000}}, "tenant": "a"}, {"dome", "shop", "rain"}),
    ({}, set(ROWS)),
    (None, set(ROWS)),
]
QUERY = "When does the bus leave?"


def fill(store):
    texts, metadatas = zip(*ROWS.values(), strict=True)
    store.add_texts(list(texts), list(metadatas), ids=list(ROWS))
    return store


class VectorStoreContract:
    def reopened(self, store):
        """Close a store and open it again from where it is stored."""
        raise NotImplementedError

    @pytest.fixture
    def filled(self, store):
        return fill(store)

    # Filters

    def test_filter_holds_in_every_search(self, filled):
        vector = filled.embeddings.embed_query(QUERY)
        only = {"filter": {"tenant": "a"}, "k": 3}
        for found in (
            filled.similarity_search(QUERY, **only),
            [one for one, _ in filled.similarity_search_with_score(QUERY, **only)],
            [one for one, _ in filled.similarity_search_with_relevance_scores(QUERY, **only)],
            filled.similarity_search_by_vector(vector, **only),
            filled.max_marginal_relevance_search(QUERY, **only),
            filled.max_marginal_relevance_search_by_vector(vector, **only),
            *(filled.search(QUERY, kind, **only) for kind in ("similarity", "mmr", "similarity_score_threshold")),
            filled.as_retriever(search_kwargs=only).invoke(QUERY),
            filled.as_retriever().invoke(QUERY, **only),
            filled.as_retriever(search_type="mmr", search_kwargs=only).invoke(QUERY),
            asyncio.run(filled.asimilarity_search(QUERY, **only)),
            [one for one, _ in asyncio.run(filled.asimilarity_search_with_relevance_scores(QUERY, **only))],
            asyncio.run(filled.amax_marginal_relevance_search_by_vector(vector, **only)),
        ):
            assert len(found) == 3
            assert {one.metadata["tenant"] for one in found} == {"a"}

    def test_filters_match_what_they_say(self, filled):
        for given, expected in FILTERS:
            found = {one.id for one in filled.similarity_search(QUERY, k=20, filter=given)}
            assert found == expected, given

    def test_filters_with_thousands_of_values(self, filled):
        found = filled.similarity_search(QUERY, k=20, filter={"year": {"$in": list(range(1000, 41000))}})
        assert {one.id for one in found} == {"dome", "bus", "tram", "lift"}
        found = filled.similarity_search(
            QUERY, k=20, filter={"tags": {"$in": [f"tag {n}" for n in range(99)] + ["shop"]}}
        )
        assert {one.id for one in found} == {"shop"}
        with pytest.raises(Exception, match="at most 5,000"):
            filled.similarity_search(QUERY, filter={"tags": {"$in": list(range(6000))}})

    def test_invalid_filters_are_errors(self, filled):
        for given in (
            {"year": {"$regex": "20"}},
            {"$nor": [{"year": 1}]},
            {"year": {"$gte": None}},
            {"year": {"$in": 2021}},
            {"$and": []},
            {"year": {"$gt": 1, "plain": 2}},
            lambda document: True,
            [("year", 2021)],
        ):
            with pytest.raises(Exception, match=r"filter|operator|compared|value"):
                filled.similarity_search(QUERY, filter=given)

    def test_unknown_keywords_are_errors(self, filled):
        vector = filled.embeddings.embed_query(QUERY)
        for call in (
            lambda: filled.similarity_search(QUERY, filters={"tenant": "a"}),
            lambda: filled.similarity_search_with_score(QUERY, score_threshold=0.5),
            lambda: filled.similarity_search_with_relevance_scores(QUERY, threshold=0.5),
            lambda: filled.similarity_search_by_vector(vector, namespace="a"),
            lambda: filled.max_marginal_relevance_search(QUERY, lambda_mul=0.5),
            lambda: filled.as_retriever(k=3),
            lambda: filled.as_retriever(search_kwargs={"filters": {}}).invoke(QUERY),
            lambda: filled.as_retriever().invoke(QUERY, top_k=3),
            lambda: filled.add_texts(["a"], metadata=[{}]),
            lambda: filled.delete(["dome"], where={"tenant": "a"}),
            lambda: asyncio.run(filled.asimilarity_search(QUERY, filters={"tenant": "a"})),
        ):
            with pytest.raises(Exception, match=r"takes no '"):
                call()

    # Scores and numbers of rows

    def test_scores_are_higher_for_better_passages_and_relevance_is_between_0_and_1(self, filled):
        scores = [score for _, score in filled.similarity_search_with_score(QUERY, k=8)]
        assert scores == sorted(scores, reverse=True)
        same, *others = filled.similarity_search_with_relevance_scores(ROWS["bus"][0], k=8)
        assert same[0].id == "bus"
        assert same[1] == pytest.approx(1, abs=0.02)
        relevance = [score for _, score in others]
        assert relevance == sorted(relevance, reverse=True)
        assert all(0 <= score < 0.9 for score in relevance)

    def test_score_threshold_cuts_exactly(self, filled):
        every = filled.similarity_search_with_relevance_scores(QUERY, k=8)
        threshold = every[2][1]
        kept = filled.similarity_search_with_relevance_scores(QUERY, k=8, score_threshold=threshold)
        assert [one.id for one, _ in kept] == [one.id for one, _ in every[:3]]
        retriever = filled.as_retriever(
            search_type="similarity_score_threshold", search_kwargs={"score_threshold": threshold, "k": 2}
        )
        assert [one.id for one in retriever.invoke(QUERY)] == [one.id for one, _ in every[:2]]
        assert filled.similarity_search_with_relevance_scores(QUERY, score_threshold=0.999) == []

    def test_exactly_k_rows_and_all_for_more(self, filled):
        filled.add_texts(["The gate opens at 08:00."] * 3, ids=["1", "2", "3"])
        vector = filled.embeddings.embed_query(QUERY)
        for k, count in ((1, 1), (5, 5), (11, 11), (50, 11)):
            for found in (
                filled.similarity_search(QUERY, k=k),
                filled.similarity_search_by_vector(vector, k=k),
                filled.max_marginal_relevance_search(QUERY, k=k, fetch_k=2),
            ):
                assert len({one.id for one in found}) == len(found) == count

    def test_diversity_replaces_near_copies(self, filled):
        copies = ["The last bus leaves at 23:10 from the main gate.", "The last bus leaves at 23:10, from the gate."]
        filled.add_texts(copies, ids=["copy 1", "copy 2"])
        query = ROWS["bus"][0]
        relevant = [one.id for one in filled.max_marginal_relevance_search(query, k=3, lambda_mult=1)]
        assert set(relevant) == {"bus", "copy 1", "copy 2"}
        assert relevant == [one.id for one in filled.similarity_search_by_vector(_vector(filled, query), k=3)]
        varied = [one.id for one in filled.max_marginal_relevance_search(query, k=3, lambda_mult=0.3)]
        assert varied[0] == relevant[0]
        assert len({"bus", "copy 1", "copy 2"} & set(varied)) == 1

    def test_vector_search_does_not_depend_on_the_length_of_the_vector(self, filled):
        vector = _vector(filled, ROWS["cafe"][0])
        longer = [3 * number for number in vector]
        for found in (filled.similarity_search_by_vector(vector, k=8), filled.similarity_search_by_vector(longer, k=8)):
            assert found[0].id == "cafe"
        with pytest.raises(Exception, match="dimension"):
            filled.similarity_search_by_vector(vector[:-1])
        with pytest.raises(Exception, match="vector is zero"):
            filled.similarity_search_by_vector([0.0] * len(vector))

    # Metadata and persistence

    def test_metadata_comes_back_as_it_was(self, filled):
        for one in filled.get_by_ids(list(ROWS)):
            assert one == Document(id=one.id, page_content=ROWS[one.id][0], metadata=ROWS[one.id][1])
        (found,) = filled.similarity_search("heavy rain", k=1)
        assert found.metadata == ROWS["rain"][1]
        assert type(found.metadata["day"]) is date
        assert found.metadata["seen"].utcoffset() == timedelta(hours=2)

    def test_values_that_would_not_come_back_are_errors(self, store):
        for value in (float("nan"), {1, 2}, object(), b"bytes", {1: "a"}):
            with pytest.raises(Exception, match="metadata"):
                store.add_texts(["a"], [{"field": value}])
        assert store.similarity_search("a") == []

    def test_all_is_there_after_reopening(self, filled):
        filled.delete(["lift"])
        filled.add_texts(["The dome has 53 steps now."], [{"tenant": "a"}], ids=["dome"])
        again = self.reopened(filled)
        assert {one.id for one in again.similarity_search(QUERY, k=20)} == set(ROWS) - {"lift"}
        (dome,) = again.get_by_ids(["dome"])
        assert (dome.page_content, dome.metadata) == ("The dome has 53 steps now.", {"tenant": "a"})
        assert {one.id for one in again.similarity_search(QUERY, k=20, filter={"tags": "maps"})} == {"shop", "tour"}

    # Threads

    def test_reads_and_writes_of_several_threads(self, filled):
        def write(number):
            filled.add_texts([f"Notice {number} of the board."], [{"tenant": "n"}], ids=[f"n{number}"])
            return {"a"}

        def read(number):
            found = filled.similarity_search(QUERY, k=3, filter={"tenant": "a"})
            return {one.metadata["tenant"] for one in found}

        with ThreadPoolExecutor(4) as threads:
            done = [threads.submit(write if number % 2 else read, number) for number in range(12)]
            assert [one.result() for one in done] == [{"a"}] * 12
        assert len(filled.similarity_search(QUERY, k=50, filter={"tenant": "n"})) == 6


def _vector(store, text):
    return store.embeddings.embed_documents([text])[0]
