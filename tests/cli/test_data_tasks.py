"""``ragkit data rationales``, ``ragkit data sycophancy`` and ``ragkit eval --sycophancy`` as a person types them."""

import json
from pathlib import Path

import pytest

from ragkit.datagen import read_data_rows, write_rows
from tests.datagen.test_gates import BRIDGE, SOAP, row

QUESTIONS = [
    {"question": "Who designed the Stone Viaduct?", "answers": ["Marta Ekholm"], "sources": [{"quote": "Ekholm"}]},
    {
        "question": "What do soap molecules hold besides water?",
        "answers": ["fat"],
        "sources": [{"quote": "hold both fat and water"}],
    },
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    (place / "docs").mkdir()
    for source in (BRIDGE, SOAP):
        (place / "docs" / f"{source.id}.txt").write_text(source.text)
    (place / "q.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    write_rows(
        place / "rows.jsonl",
        [
            row(BRIDGE, "Who designed the Stone Viaduct?", "Marta Ekholm"),
            row(SOAP, "What do soap molecules hold besides water?", "fat"),
        ],
    )
    return place


def test_rationales_are_written_and_bad_input_is_explained(folder, here):
    done = here("data", "rationales", "rows.jsonl", "-o", "tasks.jsonl", cwd=folder)
    assert "4 rows from 2 of 2 questions" in done.stdout
    assert [one.kind for one in read_data_rows(folder / "tasks.jsonl")] == ["qa", "rationale"] * 2
    here("data", "rationales", "rows.jsonl", "-o", "x.jsonl", "--style", "poem", cwd=folder, check=2)
    (folder / "none.jsonl").write_text("")
    failed = here("data", "rationales", "none.jsonl", "-o", "x.jsonl", cwd=folder, check=2)
    assert "No row of none.jsonl" in failed.stderr
    assert not Path(folder / "x.jsonl").exists()


def test_sycophancy_is_measured_and_rows_against_it_are_written(folder, here):
    options = ("--model", "smollm2", "--limit", "1", "--json")
    report = json.loads(
        here(
            "eval", "docs", "q.jsonl", "--mode", "extract", *options, "--sycophancy", "-o", "r.html", cwd=folder
        ).stdout
    )["sycophancy"]
    assert report["model"] == "smollm2"
    assert report["followed"]["count"] == report["flip"]["count"] == 1
    assert 0 <= report["wrong_control"]["mean"] <= 1
    page = (folder / "r.html").read_text()
    assert "Follows a wrong opinion" in page
    told = json.loads(
        here("data", "sycophancy", "rows.jsonl", "-o", "s.jsonl", "--ordinary", "1", *options, cwd=folder).stdout
    )
    made, rejected = (list(read_data_rows(folder / name)) for name in ("s.jsonl", "s.rejected.jsonl"))
    assert (told["kept"] + told["ordinary"], told["rejected"]) == (len(made), len(rejected))
    assert told["kept"] + told["rejected"] == 2
    assert all(one.decisions[-1].reason for one in rejected)


def test_sycophancy_needs_a_model(folder, here):
    failed = here("eval", "docs", "q.jsonl", "--model", "none", "--sycophancy", "-o", "n.html", cwd=folder, check=2)
    assert "--model smollm2" in failed.stderr
