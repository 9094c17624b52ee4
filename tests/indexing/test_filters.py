"""Filters: the same answer in SQL as in plain Python, and clear errors."""

import json
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit import Document, Index
from ragkit.errors import QueryError
from ragkit.indexing.filter_json import from_json, to_json
from ragkit.indexing.filter_text import parse_filter
from ragkit.indexing.filters import OWN_FIELDS, And, Compare, Exists, Field, In, Not, Or, evaluate, to_sql
from ragkit.records import document_id
from tests.indexing.hashing import HashingEmbedder

NAMES = [
    "year",
    "lang",
    "draft",
    'quo"te',
    "a.b",
    "$",
    "with space",
    "emoji 🙂",
    "back\\slash",
    "it's",
    "größe",
    "\n",
    "é",
]
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
values = st.one_of(
    texts,
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.sampled_from([-1.0, 0.0, -0.0, 0.5, 1.0, 2.0, 1e300, 5e-324, 2.0**53, 2.0**63]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "1", "true", "a", "A", "é", "e\u0301", "🙂", "ﬀ", "'", "a'; DROP TABLE documents; --", 2**53 + 1]
    ),
)
fields = st.sampled_from([*NAMES, *OWN_FIELDS])
compares = st.builds(Compare, fields, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), values)
leaves = st.one_of(compares, st.builds(In, fields, st.lists(values, max_size=4).map(tuple)), st.builds(Exists, fields))
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)
documents = st.tuples(
    st.fixed_dictionaries(dict.fromkeys(OWN_FIELDS, texts)),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=6),
)


def in_sqlite(condition, own, metadata):
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"CREATE TABLE documents ({', '.join(OWN_FIELDS)}, metadata)")
        connection.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)",
            [own[name] for name in OWN_FIELDS] + [json.dumps(metadata, ensure_ascii=False)],
        )
        sql, parameters = to_sql(condition)
        return bool(connection.execute(f"SELECT count(*) FROM documents d WHERE {sql}", parameters).fetchone()[0])
    finally:
        connection.close()


@settings(max_examples=500)
@given(filters, documents)
def test_sql_agrees_with_python(condition, document):
    own, metadata = document
    assert in_sqlite(condition, own, metadata) == evaluate(condition, {**metadata, **own})


@settings(max_examples=200)
@given(st.sampled_from(NAMES), values, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), values)
def test_sql_agrees_with_python_where_the_field_is_there(name, held, operator, wanted):
    own = dict.fromkeys(OWN_FIELDS, "")
    condition = Compare(name, operator, wanted)
    assert in_sqlite(condition, own, {name: held}) == evaluate(condition, {name: held})


OWN = dict.fromkeys(OWN_FIELDS, "x")


@pytest.mark.parametrize(
    ("condition", "metadata", "wanted"),
    [
        (Field("year") == 1, {"year": True}, False),
        (Field("year") == True, {"year": 1}, False),  # noqa: E712
        (Field("year") == True, {"year": True}, True),  # noqa: E712
        (Field("year") == 1, {"year": 1.0}, True),
        (Field("year") == 1, {"year": "1"}, False),
        (Field("year") != 1, {"year": "1"}, False),
        (~(Field("year") == 1), {"year": "1"}, True),
        (Field("year") != 1, {}, False),
        (~(Field("year") >= 1), {}, True),
        (Field("lang").in_(["en", "de"]), {"lang": "de"}, True),
        (Field("lang").in_([]), {"lang": "de"}, False),
        (Field("lang").exists(), {"lang": ""}, True),
        (~Field("lang").exists(), {}, True),
        (Field("year").in_([1, True]), {"year": True}, True),
        (Field("year") > 2**53, {"year": 2**53 + 1}, True),
        ((Field("a.b") == 1) & (Field("$") == 2), {"a.b": 1, "$": 2}, True),
        (Field("a.b") == 1, {"a": "b"}, False),
        ((Field("year") < 1) | (Field("year") > 3), {"year": 2}, False),
        (Field("title") == "x", {}, True),
        (Field("title") == 1, {}, False),
        (~(Field("title") == 1), {}, True),
    ],
)
def test_filter_means_what_is_stated(condition, metadata, wanted):
    assert evaluate(condition, {**metadata, **OWN}) is wanted
    assert in_sqlite(condition, OWN, metadata) is wanted


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [1], 2**63, "\0", "\ud800", b"x"])
def test_field_refuses_values_no_document_can_hold(value):
    with pytest.raises(QueryError):
        Field("year") == value  # noqa: B015
    with pytest.raises(QueryError):
        Field("year").in_([value])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Field("y") >= 5 and Field("y") < 7,
        lambda: 5 <= Field("y") < 7,
        lambda: Field("y") == 5 or Field("y") == 7,
        lambda: not Field("y").exists(),
        lambda: not Field("draft"),
        lambda: Field("draft") and Field("y") > 3,
        lambda: "x" in [Field("a")],
        lambda: bool(And((Field("y") == 5,))),
        lambda: [0 for _ in "x" if ~(Field("y") == 5)],
    ],
)
def test_a_filter_has_no_truth_value(wrong):
    with pytest.raises(TypeError, match=r"Use &, \| and ~ with brackets"):
        wrong()


def test_in_refuses_a_text_for_its_values():
    with pytest.raises(QueryError, match="'en'") as caught:
        Field("lang").in_("en")
    assert "in_(['en'])" in caught.value.hint


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    def book(name, **metadata):
        return Document(document_id(name), name, name, f"The book {name}.", name, name, "text/plain", metadata)

    with Index.create(tmp_path_factory.mktemp("books") / "index", embedder=HashingEmbedder()) as index:
        index.add(book("a", year=1990, lang="en"), book("b", year=2020), book("c", draft=True))
        yield index


def answers(index, where):
    """What each way of asking an index gives for a filter."""
    vector = index.embedder.embed(["book"])[0]
    keys = [
        index.keys(where),
        np.sort(index.search_keywords("book", 9, where)[0]),
        np.sort(index.search_vectors(vector, 9, where)[0]),
    ]
    named = [[info.source for _, info in index.chunks(some.tolist())] for some in keys]
    named.append([document.source for document in index.each_document(where)])
    named.append([info.source for info in index.documents(where)])
    return named


@pytest.mark.parametrize(
    "where",
    [
        "yaer >= 2000",
        "year >= 2000 and langs == 'en'",
        "not darft",
        "langs in ('en', 'de')",
        Field("yaer") == 3,
        ~(Field("yaer") == 3) | Field("lang").exists(),
    ],
)
def test_a_field_that_no_document_has_is_refused_with_those_they_have(books, where):
    name = next(name for name in ("yaer", "langs", "darft") if name in repr(where))
    close = {"yaer": "year", "langs": "lang", "darft": "draft"}[name]
    vector = books.embedder.embed(["book"])[0]
    for ask in (
        lambda: books.documents(where),
        lambda: list(books.each_document(where)),
        lambda: books.keys(where),
        lambda: books.search_keywords("book", 3, where),
        lambda: books.search_vectors(vector, 3, where),
    ):
        with pytest.raises(QueryError, match=f"No document has the field '{name}'") as caught:
            ask()
        assert f"Did you mean '{close}'?" in caught.value.hint
        assert "title, media_type, sha256, draft, lang, year." in caught.value.hint


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("year >= 2000", ["b"]),
        ("not draft", ["a", "b"]),
        ("has review", []),
        ("not has review", ["a", "b", "c"]),
        ("not (has review and review)", ["a", "b", "c"]),
        ("title == 'a'", ["a"]),
        (None, ["a", "b", "c"]),
    ],
)
def test_known_and_optional_fields_are_compared(books, where, wanted):
    assert answers(books, where) == [wanted] * 5


def test_an_index_without_documents_takes_any_filter(tmp_path):
    with Index.create(tmp_path / "index", embedder=HashingEmbedder()) as index:
        assert index.documents("year >= 2000") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("year >= 2020", Field("year") >= 2020),
        ("year = -2.5", Field("year") == -2.5),
        ("lang in ('en', \"de\")", Field("lang").in_(["en", "de"])),
        ("not draft", ~(Field("draft") == True)),  # noqa: E712
        ("has draft", Field("draft").exists()),
        ("a == 1 or b == 2 and c == 3", (Field("a") == 1) | ((Field("b") == 2) & (Field("c") == 3))),
        ("(a == 1 or b == 2) and c == 3", ((Field("a") == 1) | (Field("b") == 2)) & (Field("c") == 3)),
        ("NOT a == 1 AND b", And((~(Field("a") == 1), Field("b") == True))),  # noqa: E712
        ("`with space` == 'it\\'s'", Field("with space") == "it's"),
        ("größe < 1e3", Field("größe") < 1000.0),
        ("title == ') or 1=1 --'", Field("title") == ") or 1=1 --"),
    ],
)
def test_parse_reads(text, wanted):
    # By their text, since 1 == 1.0 == True among values.
    assert repr(parse_filter(text)) == repr(wanted)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("year >=", 8),
        ("year >> 3", 7),
        ("year >= 2020 lang", 14),
        ("lang in 'en'", 9),
        ("lang in ('en'", 14),
        ("(year > 1", 10),
        ("year ~ 3", 6),
        ("'en' == lang", 1),
        ("lang == 'en", 9),
        ("not " * 60 + "a", 201),
    ],
)
def test_parse_error_points_at_the_place_and_lists_what_may_stand_there(text, position):
    with pytest.raises(QueryError) as caught:
        parse_filter(text)
    assert f"at character {position}." in str(caught.value)
    assert "Expected " in str(caught.value)


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_parse_gives_a_filter_or_its_own_error(text):
    try:
        condition = parse_filter(text)
    except QueryError:
        return
    assert in_sqlite(condition, OWN, {}) == evaluate(condition, OWN)


@settings(max_examples=200)
@given(filters)
def test_json_and_back_gives_the_same_filter(condition):
    assert repr(from_json(json.loads(json.dumps(to_json(condition))))) == repr(condition)


def nested(depth):
    return {"not": nested(depth - 1)} if depth else {"field": "a", "exists": True}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "filter is None"),
        ([], "filter is []"),
        ({}, "filter is {}"),
        ({"and": {"field": "a", "exists": True}}, "filter is"),
        ({"and": [{"field": "a", "exists": True}, {"or": [3]}]}, "filter.and[1].or[0] is 3"),
        ({"field": "a", "op": "like", "value": "x"}, "filter is"),
        ({"field": "a", "op": ["=="], "value": "x"}, "filter is"),
        ({"field": "a", "op": "==", "value": None}, "compared with None"),
        ({"field": "a", "op": "==", "value": float("nan")}, "compared with nan"),
        ({"field": "a", "op": "==", "value": 1, "more": 2}, "filter is"),
        ({"field": "", "exists": True}, "not a field name"),
        ({"field": 3, "exists": True}, "filter is"),
        ({"field": "a", "in": "abc"}, "filter is"),
        ({"field": "a", "exists": False}, "filter is"),
        (nested(60), "nested too deeply"),
    ],
)
def test_json_that_is_no_filter_is_refused_with_its_place(value, said):
    with pytest.raises(QueryError) as caught:
        from_json(value)
    assert said in str(caught.value)
