"""The notebook on learning from examples runs, on a few questions, and what it tells holds."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_learning_from_examples.ipynb"
pytestmark = pytest.mark.slow
LOOK = """
import json
seen = {
    "correct": correct, "found": found, "growth": growth, "accurate": accurate, "invalid": invalid,
    "tokens": {way: tokens for way, _, tokens, _ in cost}, "seconds": {way: seconds for way, seconds, _, _ in cost},
    "leaks": len(leaks), "test": len(test), "read": len(read), "pool": len(train), "labels": len(LABELS),
    "overlap": len({example.input for example in train} & {example.input for example in test}),
}
display({"application/json": seen}, raw=True)
"""


@pytest.fixture(scope="module")
def run():
    """Return the notebook, run with a last cell that shows what its variables hold, and these."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(LOOK))
    patch = pytest.MonkeyPatch()
    with patch.context() as environment:
        environment.setenv("RAGKIT_THREADS", "1")
        environment.setenv("RAGKIT_NOTEBOOK_LIMIT", "3")
        environment.setenv("RAGKIT_NOTEBOOK_SHOTS", "2")
        environment.setenv("RAGKIT_NOTEBOOK_SIZES", "3,25")
        resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
        NotebookClient(notebook, timeout=280, resources=resources).execute()
    return notebook, notebook.cells[-1].outputs[0].data["application/json"]


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def images(notebook):
    return [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]


def test_every_cell_runs_without_error_or_warning(run):
    notebook, _ = run
    assert [output for output in outputs(notebook) if output.output_type in ("error", "stream")] == []


def test_plots_are_made(run):
    notebook, _ = run
    assert len(images(notebook)) == 3
    assert all(len(image) > 10_000 for image in images(notebook))


def test_settings_bound_what_the_model_reads(run):
    _, seen = run
    assert seen["read"] == 3
    assert {len(line) for line in seen["correct"].values()} == {1}


def test_leaks_are_left_out(run):
    _, seen = run
    assert seen["leaks"] > 0
    assert seen["test"] == 96 - seen["leaks"]
    assert seen["overlap"] == 0


def test_near_examples_hold_the_right_topic_more_often_than_random_ones(run):
    _, seen = run
    assert set(seen["found"]) == {"random", "jaccard", "keyword", "dense", "hybrid", "mmr", "coverage"}
    for name, line in seen["found"].items():
        assert line == sorted(line) or name == "mmr"
        if name != "random":
            assert all(near > random + 0.3 for near, random in zip(line, seen["found"]["random"], strict=True))
    assert seen["found"]["dense"][0] > seen["found"]["jaccard"][0]


def test_model_does_better_with_near_examples_than_with_random_ones(run):
    _, seen = run
    assert sum(seen["correct"]["dense"]) > sum(seen["correct"]["random"]) + 0.3


def test_larger_pool_helps(run):
    _, seen = run
    for name in ("classifier, no model", "tuned model"):
        assert len(seen["growth"][name]) == 2
        assert seen["growth"][name][-1] > seen["growth"][name][0] + 0.1
        assert seen["growth"][name][-1] > 0.75


def test_classifier_gives_topics_only_and_takes_fewer_tokens_than_the_prompt(run):
    _, seen = run
    assert seen["invalid"]["classifier, all"] == seen["invalid"]["classifier, uncertain"] == 0
    assert seen["invalid"]["tuned model"] == 0
    tokens = seen["tokens"]
    assert 0 <= tokens["classifier, uncertain"] <= tokens["classifier, all"]
    assert tokens["classifier, all"] > tokens["tuned model"] == 0
    assert tokens["prompt with 8 shots"] > 100_000
    assert all(seconds > 0 for seconds in seen["seconds"].values())


def test_committed_notebook_was_run_in_full_and_names_no_machine():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert len(images(notebook)) == 3
    assert all(not cell.metadata for cell in notebook.cells)
    text = json.dumps([[cell.source, cell.get("outputs")] for cell in notebook.cells])
    assert re.findall(r"/(?:home|root|tmp|work|Users|usr)/", re.sub(r'"image/png": "[^"]*"', "", text)) == []
    assert "24 of them for the model" in text


def test_data_says_where_it_comes_from():
    text = (NOTEBOOK.parent / "data" / "README.md").read_text(encoding="utf-8")
    assert "PolyAI-LDN/task-specific-datasets" in text
    assert "CC BY 4.0" in text
