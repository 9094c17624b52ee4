"""Where answers stand in an index."""

import pytest

from ragkit.evaluation import GoldSource, Question
from ragkit.evaluation.gold import find_gold
from tests.evaluation.conftest import QUESTIONS


def gold_of(index, *sources):
    return find_gold(index, [Question("?", "q", (), sources)])["q"]


def text_of(index, place):
    return index.document(place.document_id).text[place.start : place.end]


def test_quote_is_found_in_the_document_that_is_named(samples):
    found = find_gold(samples, QUESTIONS)
    (places,) = found["bus"].evidence
    assert [text_of(samples, place) for place in places] == ["23:10"]
    assert samples.document(places[0].document_id).source.endswith("faq.html")
    chunks = [chunk for chunk in samples.each_chunk() if chunk.key in found["bus"].relevant]
    assert chunks
    assert all("23:10" in chunk.text for chunk in chunks)
    assert found["football"].evidence == ()
    assert found["football"].relevant is None


def test_row_of_a_table_is_a_document_of_its_own(samples):
    ((place,),) = gold_of(samples, GoldSource("prices.csv#row-3")).evidence
    assert "46.00" in text_of(samples, place)
    ((*rows,),) = gold_of(samples, GoldSource("prices.csv")).evidence
    assert len(rows) > 3


def test_white_space_of_a_quote_may_differ(samples):
    (document,) = [d for d in samples.each_document() if d.source.endswith("telescope-manual.pdf")]
    ((place,),) = gold_of(samples, GoldSource("", "wind at the\n  mast is above 55")).evidence
    assert place.document_id == document.id
    assert " ".join(text_of(samples, place).split()) == "wind at the mast is above 55"


def test_span_counts_in_the_document_or_in_its_passage(samples):
    (document,) = [d for d in samples.each_document() if d.source.endswith("faq.html")]
    start = document.text.index("23:10")
    ((place,),) = gold_of(samples, GoldSource(document.id, start=start, end=start + 5)).evidence
    assert text_of(samples, place) == "23:10"
    passage = document.text[start - 30 : start + 30]
    ((same,),) = gold_of(samples, GoldSource("", "", passage, 30, 35)).evidence
    assert same == place
    ((quoted,),) = gold_of(samples, GoldSource("", "23:10", passage)).evidence
    assert quoted == place


def test_quote_goes_before_a_span_that_holds_something_else(samples):
    ((place,),) = gold_of(samples, GoldSource("faq.html", "23:10", start=0, end=5)).evidence
    assert text_of(samples, place) == "23:10"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (GoldSource("none.pdf"), "'none.pdf'"),
        (GoldSource("faq.html", "no such words"), "'no such words' in 'faq.html'"),
        (GoldSource("faq.html", start=0, end=10**9), "'faq.html'"),
    ],
)
def test_what_the_index_lacks_is_told(samples, source, told):
    found = gold_of(samples, source, GoldSource("faq.html", "23:10"))
    assert found.missing == (told,)
    assert found.relevant is None
    assert len(found.evidence) == 1
