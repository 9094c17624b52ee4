"""Pools on disk: what goes in, what is refused, and what stays."""

import json

import pytest

from ragkit.answering import Trace
from ragkit.errors import ExamplePoolError, IndexNotFoundError
from ragkit.examples import ExamplePool, read_examples
from ragkit.examples.reading import examples_from_answers, examples_from_rows
from ragkit.records import Answer, Example
from tests.examples.conftest import EXAMPLES
from tests.indexing.hashing import HashingEmbedder


def test_pool_keeps_every_field_and_opens_again(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool:
        assert pool.add(EXAMPLES).added == len(EXAMPLES)
    with ExamplePool.open(tmp_path / "p", create=False) as pool:
        assert len(pool) == len(EXAMPLES)
        assert sorted(pool, key=lambda one: one.input) == sorted(EXAMPLES, key=lambda one: one.input)
        assert pool.labels() == {"lost_card": 5, "card_arrival": 5, "exchange_rate": 5, "change_pin": 5}


def test_same_example_again_costs_nothing_and_is_one(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add(EXAMPLES[:2])
        report = pool.add([EXAMPLES[0], Example(f"  {EXAMPLES[1].input.upper()} ", EXAMPLES[1].output), EXAMPLES[2]])
        assert (report.added, report.known) == (1, 2)
        assert len(pool) == 3


def test_contradictions_are_reported(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add([Example("is it open", "yes"), Example("is it far", "no")])
        report = pool.add([Example("Is it  OPEN", "no")])
        assert report.added == 1
        assert not report.complete
        assert list(report.contradictions.values()) == [("no", "yes")]
        assert pool.add([Example("is it far", "no")]).contradictions == {}
        assert len(pool.contradictions()) == 1


def test_rows_without_input_or_label_are_refused_and_the_others_go_in(tmp_path):
    rows = [Example("", "x"), Example("one", "  "), Example("two", "x", {"output": "y"}), Example("three", "x")]
    with ExamplePool.create(tmp_path / "p") as pool:
        report = pool.add(rows)
        assert report.added == 1
        assert [reason.split(" ")[1] for reason in report.refused] == ["1", "2", "3"]
        assert not report.complete


def test_removed_example_is_gone(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add(EXAMPLES[:3])
        assert pool.remove([EXAMPLES[1], Example("never", "there")]) == 1
        assert sorted(one.input for one in pool) == sorted([EXAMPLES[0].input, EXAMPLES[2].input])


def test_generator_is_read_as_it_is_written(tmp_path):
    """A pool of millions must not be held in memory: by the end of the iterable its beginning is on disk."""
    seen = []

    def rows(pool):
        for number in range(4500):
            if number % 1500 == 1499:
                seen.append(len(pool))
            yield Example(f"which way leads to house number {number}", f"way {number % 7}")

    with ExamplePool.create(tmp_path / "p", embedder=HashingEmbedder()) as pool:
        assert pool.add(rows(pool)).added == 4500
        assert seen[0] == 0
        assert seen[1] >= 2000 or seen[2] >= 2000
        assert len(pool) == 4500
        assert sum(pool.labels().values()) == 4500


def test_same_example_twice_in_one_addition_is_one_and_the_last_stays(tmp_path):
    rows = [Example("is it open", "yes", {"n": n}) for n in range(3)] + [Example("Is it  open", "yes", {"n": 9})]
    with ExamplePool.create(tmp_path / "p", embedder=HashingEmbedder()) as pool:
        report = pool.add(rows)
        assert (report.added, report.known, report.refused) == (1, 3, ())
        assert list(pool) == [rows[-1]]
        report = pool.add([Example("is it open", "yes", {"n": 10}), Example("is it open", "yes", {"n": 11})])
        assert (report.added, report.known) == (0, 2)
        assert [example.metadata["n"] for example in pool] == [11]


def test_contradictions_of_many_are_found_and_told_by_addition(tmp_path):
    rows = [Example(f"question {n}", "yes") for n in range(900)]
    with ExamplePool.create(tmp_path / "p", embedder=HashingEmbedder()) as pool:
        assert pool.add(rows).complete
        report = pool.add([*(Example(f"Question {n}", "no") for n in range(0, 900, 2)), Example("new", "yes")])
        assert len(report.contradictions) == 450
        assert set(report.contradictions.values()) == {("no", "yes")}
        again = pool.add([rows[0], rows[1]]).contradictions
        assert [(text.casefold(), outputs) for text, outputs in again.items()] == [("question 0", ("no", "yes"))]
        assert len(pool.contradictions()) == 450
        assert pool.remove(Example(f"question {n}", "no") for n in range(0, 900, 2)) == 450
        assert pool.contradictions() == {}


def test_examples_of_another_pool_go_in_as_they_are(tmp_path):
    embedder = HashingEmbedder()
    with (
        ExamplePool.create(tmp_path / "a", embedder=embedder) as one,
        ExamplePool.create(tmp_path / "b", embedder=embedder) as other,
    ):
        one.add(EXAMPLES)
        assert other.add(one).added == len(EXAMPLES)
        assert list(other) == list(one)
        assert other.index.fingerprint() == one.index.fingerprint()


def test_pool_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(IndexNotFoundError):
        ExamplePool.open(tmp_path / "none", create=False)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_files_give_the_same_examples(tmp_path, kind):
    rows = [{"q": '什么, "quoted"', "a": "yes", "topic": "x"}, {"q": "two\nlines", "a": "no", "topic": "y"}]
    path = tmp_path / f"e.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    else:
        mark = "\t" if kind == "tsv" else ","
        lines = [["q", "a", "topic"], *(list(row.values()) for row in rows)]
        path.write_text("\n".join(mark.join('"' + v.replace('"', '""') + '"' for v in line) for line in lines))
    found = read_examples(path, "q", "a")
    assert found == [Example(row["q"], row["a"], {"topic": row["topic"]}) for row in rows]


def test_rows_of_other_libraries_keep_lists_as_json():
    (example,) = examples_from_rows([{"input": "x", "output": {"a": 1}, "tags": ["b"], "none": None}])
    assert example == Example("x", '{"a": 1}', {"tags": '["b"]'})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("e.csv", "text,label\na,b\n", "'text'"),
        ("e.jsonl", '{"input": "a"\n', "line 1"),
        ("e.jsonl", "[1]\n", "is not a JSON object"),
        ("e.xlsx", "x", "csv"),
        ("e.csv", b"input,output\n\xff\xfe,b\n", "UTF-8"),
    ],
)
def test_file_that_holds_no_examples_is_an_error(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ExamplePoolError, match=says):
        read_examples(path)


def test_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ExamplePoolError, match="can't be read"):
        read_examples(tmp_path / "none.csv")


def test_approved_answers_become_examples_without_their_citations():
    said = Answer(
        "When does the bus leave?", "At 22:40 [1], from the dam [2].", "chat", (), False, 0.9, trace=Trace("when")
    )
    silent = Answer("Who is the king?", "Not in the documents.", "quotes", (), True, 0.1, trace=Trace("who"))
    (example,) = examples_from_answers([said, silent])
    assert example == Example("When does the bus leave?", "At 22:40, from the dam.", {"mode": "chat"})
