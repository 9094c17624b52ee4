"""What docs/samples.md says of the sample documents is true."""

import importlib.util
import re
from pathlib import Path

import pytest

from ragkit.documents import load

DOCS = Path(__file__).parents[1] / "docs"
ROWS = re.findall(
    r"^\| (.+?\?) \| (.+?) \| ([\w.-]+\.\w+)(?:, (page|row) (\d+))? \|$", (DOCS / "samples.md").read_text(), re.M
)


def test_every_row_of_the_table_is_read():
    assert len(ROWS) == 11


@pytest.mark.parametrize(("question", "answer", "file", "unit", "number"), ROWS, ids=[row[0] for row in ROWS])
def test_answer_stands_where_the_table_says(question, answer, file, unit, number):
    documents = load(DOCS / "samples" / file)
    if unit == "row":
        documents = [document for document in documents if document.source.endswith(f"#row-{number}")]
    found = False
    for document in documents:
        match = re.search(r"\s+".join(map(re.escape, answer.split())), document.text)
        if match:
            found = True
            assert unit != "page" or document.page_at(match.start()) == int(number)
    assert found


def test_script_makes_the_files_that_are_committed(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("make_samples", DOCS / "make_samples.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    script.make_manual()
    script.make_policy()
    for name in ("telescope-manual.pdf", "visitor-policy.docx"):
        (made,), (kept,) = load(tmp_path / name), load(DOCS / "samples" / name)
        assert made.text == kept.text
        assert made.headings == kept.headings
