"""The measures of retrieval agree with ir-measures; those of citations do what their words say."""

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, Qrel, R, ScoredDoc, nDCG

from ragkit.evaluation.metrics import (
    Place,
    average_precision,
    best_f1,
    citation_scores,
    contains,
    is_exact,
    ndcg_at,
    precision_at,
    recall_at,
    reciprocal_rank,
)

OURS = {
    nDCG @ 10: lambda ranking, relevant: ndcg_at(ranking, relevant, 10),
    nDCG @ 3: lambda ranking, relevant: ndcg_at(ranking, relevant, 3),
    R @ 1: lambda ranking, relevant: recall_at(ranking, relevant, 1),
    R @ 5: lambda ranking, relevant: recall_at(ranking, relevant, 5),
    P @ 1: lambda ranking, relevant: precision_at(ranking, relevant, 1),
    P @ 5: lambda ranking, relevant: precision_at(ranking, relevant, 5),
    RR: reciprocal_rank,
    AP: average_precision,
}
DOCUMENTS = [f"d{number}" for number in range(25)]


def judgements(grades):
    return st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(*grades), min_size=1, max_size=12).filter(
        lambda relevant: max(relevant.values()) > 0
    )


@settings(max_examples=300)
@given(
    relevant=st.one_of(judgements((0, 1)), judgements((-1, 4))),
    # Few different scores, so that many are equal.
    run=st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 4), min_size=1, max_size=25),
)
def test_retrieval_agrees_with_ir_measures(relevant, run):
    judged = [Qrel("q", name, grade) for name, grade in relevant.items()]
    scored = [ScoredDoc("q", name, float(score)) for name, score in run.items()]
    theirs = {m.measure: m.value for m in ir_measures.iter_calc(list(OURS), judged, scored)}
    # trec_eval orders equal scores by name, the last one first; a ranking here is given in its order.
    ranking = sorted(run, key=lambda name: (run[name], name), reverse=True)
    assert set(theirs) == set(OURS)
    for measure, ours in OURS.items():
        assert ours(ranking, relevant) == pytest.approx(theirs[measure], abs=1e-6), measure


def test_nothing_relevant_scores_zero():
    assert [ours(["d1"], {"d1": 0}) for ours in OURS.values()] == [0.0] * len(OURS)


def test_answer_takes_the_best_of_several_and_no_marks():
    assert best_f1("The Norman dukes [1].", ["Vikings", "Norman"]) == pytest.approx(2 / 3)
    assert is_exact("The Normans [12]", ["Vikings", "normans"]) == 1.0
    assert best_f1("x", []) == is_exact("x", []) == 0.0


@pytest.mark.parametrize(
    ("text", "answers", "right"),
    [
        ("It leaves at 23:10 [1].", ["23:10"], 1),
        ("It leaves at 123:10.", ["23:10"], 0),
        ("Denver Broncos, the", ["the Denver  broncos!"], 1),
        ("Denver and Broncos", ["Denver Broncos"], 0),
        ("anything", ["the"], 0),
        ("", ["x"], 0),
    ],
)
def test_answer_is_contained_with_whole_words_in_order(text, answers, right):
    assert contains(text, answers) == right


def span(start, end, document="d"):
    return Place(document, start, end)


@pytest.mark.parametrize(
    ("cited", "gold", "hit", "precision", "recall"),
    [
        ([span(0, 10)], [[span(0, 10)]], 1, 1, 1),
        ([span(0, 20)], [[span(5, 10)]], 1, 0.25, 1),
        ([span(0, 10)], [[span(8, 18)]], 1, 0.2, 0.2),
        ([span(0, 10)], [[span(10, 18)]], 0, 0, 0),
        ([span(0, 10, "other")], [[span(0, 10)]], 0, 0, 0),
        # Cited twice counts once.
        ([span(0, 10), span(5, 10)], [[span(0, 10)]], 1, 1, 1),
        # Two things are needed; one of two places of each will do.
        ([span(0, 10)], [[span(0, 10), span(50, 60)], [span(20, 30)]], 1, 1, 0.5),
        ([span(50, 60), span(20, 30)], [[span(0, 10), span(50, 60)], [span(20, 30)]], 1, 1, 1),
    ],
)
def test_citations_are_scored_by_shared_characters(cited, gold, hit, precision, recall):
    assert citation_scores(cited, gold) == pytest.approx(
        {"citation_hit": hit, "citation_precision": precision, "citation_recall": recall}
    )


def test_nothing_cited_has_recall_only():
    assert citation_scores([], [[span(0, 3)]]) == {"citation_recall": 0.0}
