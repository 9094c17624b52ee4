"""The notebooks other than that on examples run on few questions, and their results are as the text says."""

import base64
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
PLOTS = {
    "01_ask_a_pdf": 2,
    "03_tune_or_prompt": 1,
    "04_evaluate_your_rag": 5,
    "05_chat_with_langchain": 0,
    "06_from_documents_to_a_tuned_model": 2,
    "07_plans_and_tools": 2,
}
NAMES = list(PLOTS)
pytestmark = pytest.mark.slow


def seen(name, look, **environment):
    """Return a notebook, run with a last cell that shows what some of its variables hold, and these."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    # The last cell closes what the others opened.
    shows = f"import json\ndisplay({{'application/json': {look}}}, raw=True)"
    notebook.cells.insert(-1, nbformat.v4.new_code_cell(shows))
    with pytest.MonkeyPatch().context() as patch:
        for key, value in {"RAGKIT_THREADS": "1", **environment}.items():
            patch.setenv(key, value)
        NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(FOLDER)}}).execute()
    shown = notebook.cells[-2].outputs[0].data["application/json"]
    streams = [output for output in outputs(notebook) if output.output_type in ("error", "stream")]
    assert streams == []
    assert len(images(notebook)) == PLOTS[name]
    return shown


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def images(notebook):
    return [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]


def test_asking_a_pdf_marks_the_quote_on_its_page():
    pytest.importorskip("pypdfium2", reason="pip install 'ragkit[serve]'")
    look = (
        "{'text': answer.text, 'page': citation.page, 'chunks': len(chunks), 'free': free.mode,"
        " 'rects': pages.place(PDF.resolve(), document, citation.page, citation.start, citation.end).rects}"
    )
    told = seen("01_ask_a_pdf", look)
    assert (told["text"], told["page"], told["chunks"], told["free"]) == ("3,200 millimetres", 3, 5, "chat")
    ((left, top, right, bottom),) = told["rects"]
    assert 0 < left < right < 1
    assert 0 < top < bottom < 1


def test_tuning_or_prompting_is_measured_on_a_slice():
    look = (
        "{'methods': {r.method: r.full.accuracy for r in advice.methods}, 'words': len(advice.words),"
        " 'leaked': len(leaked), 'after': ask(message), 'before': before, 'head': head.predict([message])[0].label,"
        " 'by_head': by_head, 'test': [e.output for e in test]}"
    )
    few = {"RAGKIT_NOTEBOOK_LIMIT": "5", "RAGKIT_NOTEBOOK_EXAMPLES": "70", "RAGKIT_NOTEBOOK_SIZES": "24"}
    told = seen("03_tune_or_prompt", look, **few)
    assert set(told["methods"]) == {"neighbours", "examples", "head"}
    assert all(accuracy >= 0.4 for accuracy in told["methods"].values())
    assert told["words"] >= 2
    assert told["leaked"] > 0
    assert told["after"] == "find_branch"
    assert "find_branch" not in (told["before"], told["head"])
    assert sum(map(str.__eq__, told["by_head"], told["test"])) >= 3


def test_evaluating_measures_search_answers_and_abstention_on_a_slice():
    look = (
        "{'recall': {m: recall(r, 5) for m, r in searches.items()}, 'asked': len(asked),"
        " 'grounded': extract.metrics['grounded'].mean, 'changes': len(comparison.changes),"
        " 'sure': {str(k): sum(v) / len(v) for k, v in sure.items()}, 'judged': len(everything.scores('declined'))}"
    )
    told = seen("04_evaluate_your_rag", look, RAGKIT_NOTEBOOK_LIMIT="3")
    assert told["asked"] == told["changes"] == 3
    assert all(share > 0.9 for share in told["recall"].values())
    assert told["grounded"] == 1.0
    assert told["sure"]["False"] > told["sure"]["True"] + 0.5
    assert told["judged"] == 20


def test_langchain_and_ragkit_work_in_each_others_place():
    look = (
        "{'answer': chain.invoke('When does the last bus back leave?'), 'pieces': pieces,"
        " 'whole': chain.invoke('Who founded the observatory?'), 'shown': passages(found),"
        " 'turns': len(history), 'cited': [c.quote for c in checked.citations],"
        " 'doubt': [checked.text[a:b] for a, b in checked.unsupported], 'chosen': len(chosen)}"
    )
    told = seen("05_chat_with_langchain", look)
    assert told["answer"].strip()
    assert "23:10" in told["shown"]
    assert "".join(told["pieces"]) == told["whole"]
    assert len(told["pieces"]) > 1
    assert told["turns"] == 4
    assert told["cited"] == ["The last bus back leaves at 23:10."]
    assert told["doubt"] == ["It is painted green and has 80 seats."]
    assert told["chosen"] == 3


def test_rows_from_documents_are_exact_reviewed_and_measured():
    look = (
        "{'faults': len(verified.faults), 'rows': again.delivered, 'gone': gone.decisions[-1].reason,"
        " 'calls': again.calls, 'first': report.calls, 'before': before, 'after': after, "
        "'seen': [d.text for d in known], 'asked': [q.sources[0].passage for q in asked]}"
    )
    told = seen("06_from_documents_to_a_tuned_model", look, RAGKIT_NOTEBOOK_LIMIT="3")
    assert told["faults"] == 0
    assert told["rows"] == len(told["before"]) == len(told["after"]) == 3
    assert told["gone"].startswith("Rejected by you.")
    assert told["calls"] < told["first"]
    assert not set(told["seen"]) & set(told["asked"])


def test_tools_are_called_replayed_and_searched():
    look = (
        "{'calls': [c and [c.tool, dict(c.arguments)] for c in calls], 'answer': result.answer,"
        " 'replayed': replayed.answer, 'rates': rates}"
    )
    told = seen("07_plans_and_tools", look, RAGKIT_NOTEBOOK_LIMIT="60")
    assert told["calls"] == [
        ["membership_price", {"plan": "family", "months": 3}],
        ["opening_hours", {"day": "Friday"}],
        ["distance", {"city": "Vienna"}],
        None,
    ]
    assert told["answer"] == told["replayed"]
    assert told["rates"]["depth"][-1] > told["rates"]["chain"][-1]


@pytest.mark.parametrize("name", NAMES)
def test_committed_notebook_was_run_in_full_and_names_no_machine(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert len(images(notebook)) == PLOTS[name]
    assert all(len(base64.b64decode(image)) > 10_000 for image in images(notebook))
    assert all(not cell.metadata for cell in notebook.cells)
    text = json.dumps([[cell.source, cell.get("outputs")] for cell in notebook.cells])
    assert re.findall(r"/(?:home|root|tmp|work|Users|usr)/", re.sub(r'"image/png": "[^"]*"', "", text)) == []


def test_sample_of_xquad_says_where_it_comes_from():
    text = (FOLDER / "data" / "README.md").read_text(encoding="utf-8")
    assert "google-deepmind/xquad" in text
    assert "CC BY-SA 4.0" in text
