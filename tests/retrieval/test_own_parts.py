"""A reranker and a searcher of one's own, and the shortcut ``Index.search``."""

import pytest

from ragkit.answering import Assistant
from ragkit.errors import SettingsError
from ragkit.indexing import Field
from ragkit.retrieval import RetrievalOptions, Retriever

QUERY = "What does a family ticket cost?"


class ByLength:
    """Prefers short chunks."""

    def score(self, query, chunks):
        return [-float(len(chunk.text)) for chunk in chunks]


class ByTitle:
    """Finds the chunks of documents whose title holds a word of the query."""

    name = "title"

    def __init__(self, index, weight):
        self.index, self.weight = index, weight

    def search(self, query, k, where):
        words = {word.strip("?").casefold() for word in query.split()}
        rows = self.index.chunks(self.index.keys(where).tolist())
        scored = [(chunk.key, len(words & set(info.title.casefold().split()))) for chunk, info in rows]
        return sorted((pair for pair in scored if pair[1]), key=lambda pair: -pair[1])[:k]


def test_index_search_is_the_default_retriever(samples):
    assert samples.search(QUERY, 5) == Retriever(samples).search(QUERY, 5)
    source = samples.search(QUERY, 1)[0].document.source
    assert {hit.document.source for hit in samples.search(QUERY, 3, Field("source") == source)} == {source}


def test_own_reranker_orders_the_hits_and_its_scores_are_in_them(samples):
    hits = Retriever(samples, RetrievalOptions(rerank_candidates=6), reranker=ByLength()).search(QUERY, 6)
    lengths = [len(hit.chunk.text) for hit in hits]
    assert lengths == sorted(lengths)
    assert [hit.scores["rerank"] for hit in hits] == [-length for length in lengths]


def test_own_searcher_is_fused_and_keeps_filters(samples):
    query = "timetable of the bus"
    title = next(info.title for info in samples.documents() if info.title)
    word = title.casefold().split()[0]
    plain = Retriever(samples).retrieve(f"{query} {word}", 8)
    led = Retriever(samples, searchers=[ByTitle(samples, 50.0)]).retrieve(f"{query} {word}", 8)
    assert word in led.hits[0].document.title.casefold().split()
    assert led.hits[0].scores["title"] >= 1
    assert led.found["title"] >= 1
    assert "title" in led.timings
    none = Retriever(samples, searchers=[ByTitle(samples, 0.0)]).retrieve(f"{query} {word}", 8)
    assert [hit.chunk.key for hit in none.hits] == [hit.chunk.key for hit in plain.hits]
    other = next(info.source for info in samples.documents() if info.source != led.hits[0].document.source)
    filtered = Retriever(samples, searchers=[ByTitle(samples, 50.0)]).search(query, 8, Field("source") == other)
    assert {hit.document.source for hit in filtered} == {other}


def test_assistant_answers_from_the_retriever_it_is_given(samples):
    retriever = Retriever(samples, RetrievalOptions(k=2), reranker=ByLength())
    trace = Assistant(samples, model=None, retriever=retriever).ask(QUERY).trace
    assert [hit.chunk.key for hit in trace.hits] == [hit.chunk.key for hit in retriever.search(QUERY)]


def test_two_rerankers_or_two_searchers_of_one_name_are_an_error(samples):
    with pytest.raises(SettingsError, match="two rerankers"):
        Retriever(samples, RetrievalOptions(rerank="late"), reranker=ByLength())
    with pytest.raises(SettingsError, match="'title'"):
        Retriever(samples, searchers=[ByTitle(samples, 1), ByTitle(samples, 1)])
