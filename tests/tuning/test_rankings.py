"""Rankings: read from files, checked, split by prompt."""

import json

import pytest

from ragkit.errors import ExamplePoolError
from ragkit.records import Message
from ragkit.tuning.data import fingerprint
from ragkit.tuning.rewards.rankings import (
    Ranking,
    checked,
    ranked,
    read_rankings,
    split_rankings,
    write_rankings,
)


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pairs(rankings):
    return {(one.chosen, one.rejected) for one in rankings}


def test_pairs_and_messages_are_read_with_their_other_fields(tmp_path):
    turns = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}]
    file = write(
        tmp_path / "r.jsonl",
        {"prompt": "Who?", "chosen": "Ada", "rejected": "Bob", "by": "Eve", "round": 2, "none": None},
        {"prompt": turns, "chosen": "Since", "rejected": "No"},
    )
    first, second = read_rankings(file).rankings
    assert (first.prompt, first.chosen, first.rejected) == ("Who?", "Ada", "Bob")
    assert first.metadata == {"by": "Eve", "round": 2}
    assert first.key == "Who?"
    assert second.messages == (Message("system", "Be short."), Message("user", "Why?"))
    assert second.key == "Why?"


def test_row_of_several_answers_gives_all_its_pairs(tmp_path):
    file = write(tmp_path / "r.jsonl", {"prompt": "Q", "answers": ["a", "b", "c"], "article": 3})
    found = read_rankings(file).rankings
    assert pairs(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert {one.metadata["article"] for one in found} == {3}


def test_scores_outweigh_order_and_equal_scores_give_no_pair(tmp_path):
    file = write(tmp_path / "r.jsonl", {"prompt": "Q", "answers": ["a", "b", "c"], "scores": [0.1, 0.9, 0.1]})
    assert pairs(read_rankings(file).rankings) == {("b", "a"), ("b", "c")}


def test_equal_answers_count_once():
    assert pairs(ranked("Q", ["a", " a", "b"], [1.0, 0.0, 0.5])) == {("a", "b")}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"chosen": "a", "rejected": "b"}, "line 1 is not an object with a prompt"),
        ({"prompt": "Q", "chosen": "a"}, "line 1 is not a ranking"),
        ({"prompt": "Q", "answers": ["a", 2]}, "line 1 is not a ranking"),
        ({"prompt": "Q", "answers": ["a", "b"], "scores": [1]}, "line 1 is not a ranking"),
        ({"prompt": "Q", "answers": ["a", "b"], "scores": ["x", "y"]}, "line 1 is not a ranking"),
        (
            {"prompt": [{"role": "judge", "content": "Q"}], "chosen": "a", "rejected": "b"},
            "neither a text nor messages",
        ),
        ({"prompt": "Q", "chosen": "a", "rejected": "a "}, "two equal answers"),
        ({"prompt": " ", "chosen": "", "rejected": "b"}, "empty prompt and chosen"),
    ],
)
def test_file_without_a_ranking_is_refused_with_the_reason(tmp_path, row, told):
    with pytest.raises(ExamplePoolError, match=told):
        read_rankings(write(tmp_path / "r.jsonl", row))


def test_missing_file_and_broken_line_are_refused(tmp_path):
    with pytest.raises(ExamplePoolError, match="can't be read"):
        read_rankings(tmp_path / "none.jsonl")
    (tmp_path / "r.jsonl").write_text('{"prompt": "Q", "chosen"\n')
    with pytest.raises(ExamplePoolError, match="line 1 is not JSON"):
        read_rankings(tmp_path / "r.jsonl")


def test_votes_against_each_other_cancel_and_are_reported():
    for_a, for_b = Ranking("Q", "a", "b"), Ranking("Q", "b", "a")
    report = checked([for_a, for_b, for_a, for_a, Ranking("Other", "b", "a")])
    assert pairs(report.rankings) == {("a", "b"), ("b", "a")}
    assert [one.key for one in report.rankings] == ["Q", "Q", "Other"]
    assert report.contradictions == ["3 to 1 for 'a' over 'b': 'Q'"]
    assert report.repeats == 1
    assert checked([for_a, for_b]).rankings == []


def test_good_rankings_stay_beside_refused_ones():
    report = checked([Ranking("Q", "a", "b"), Ranking("Q", "a", ""), Ranking("Q", "a", "a")])
    assert len(report.rankings) == 1
    assert [line.split()[1] for line in report.refused] == ["2", "3"]


def test_no_prompt_stands_on_both_sides_and_sides_are_stable():
    rankings = [one for n in range(200) for one in ranked(f"Question {n}", ["a", "b", "c"], [3, 2, 1])]
    train, held = split_rankings(rankings, 0.3)
    assert not {one.key for one in train} & {one.key for one in held}
    assert 0.2 < len(held) / len(rankings) < 0.4
    fewer, fewer_held = split_rankings(rankings[:300], 0.3)
    assert set(map(str, fewer_held)) <= set(map(str, held))
    assert set(map(str, fewer)) <= set(map(str, train))
    assert {one.key for one in split_rankings(rankings, 0.3, seed=1)[1]} != {one.key for one in held}


def test_split_by_a_field_keeps_it_together():
    rankings = [Ranking(f"Question {n}", "a", "b", {"article": n % 10}) for n in range(100)]
    train, held = split_rankings(rankings, 0.4, group_by="article")
    assert train
    assert held
    assert not {one.metadata["article"] for one in train} & {one.metadata["article"] for one in held}


def test_written_rankings_are_read_back_and_have_the_same_hash(tmp_path):
    rankings = [
        Ranking("Q", "a", "b", {"by": "Eve"}),
        Ranking((Message("system", "S"), Message("user", "Ü")), "c\nd", "e"),
    ]
    write_rankings(tmp_path / "r.jsonl", rankings)
    found = read_rankings(tmp_path / "r.jsonl").rankings
    assert found == rankings
    assert fingerprint(found) == fingerprint(rankings) != fingerprint(rankings[:1])
