"""Review of generated rows over HTTP, with a real server on an index of the sample documents."""

import httpx
import pytest

from ragkit import Index
from ragkit.datagen import DataRow, Decision, Ledger, TextSpan, current_reviews, write_rows
from ragkit.errors import SettingsError
from ragkit.records import Message
from ragkit.serving.app import make_app
from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running


def sample_rows(path):
    """Write one kept and one rejected row on the last bus, and return them."""
    with Index.open(path) as index:
        faq = next(document for document in index.each_document() if document.source.endswith("faq.html"))
    at = faq.text.index("23:10")
    answer, passage = TextSpan.of(faq, at, at + 5), TextSpan.of(faq, at - 60, at + 60)
    rows = [
        DataRow("qa", (Message("user", text),), "23:10", answer, (passage,), tags=("time",))
        for text in ("When does the last bus back leave?", "When does it leave?")
    ]
    return [
        rows[0].decided(Decision("form", True, 1.0, 0.5)),
        rows[1].decided(Decision("form", False, 0.0, 0.5, "It.")),
    ]


@pytest.fixture(scope="module")
def place(indexes, tmp_path_factory):
    """A server with rows, and the folder of their files."""
    folder = tmp_path_factory.mktemp("rows")
    good, bad = sample_rows(indexes / "samples")
    write_rows(folder / "rows.jsonl", [good])
    write_rows(folder / "rows.rejected.jsonl", [bad])
    options = ServeOptions(indexes=indexes, rows={"": folder / "rows.jsonl"}, port=0, models=("none",))
    with running(options) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        yield client, folder, good, bad


def test_rows_are_listed_shown_decided_and_undone(place):
    client, folder, good, bad = place
    assert client.get("/api/collections").json()["collections"][0]["review"] is True
    url = "/api/collections/samples/rows"
    listed = client.get(url).json()
    assert [(row["id"], row["kept"], row["gate"]) for row in listed["rows"]] == [
        (good.id, True, ""),
        (bad.id, False, "form"),
    ]
    assert listed["counts"]["gates"] == {"form": 1}
    assert [row["id"] for row in client.get(url, params={"gate": "form", "kind": "qa"}).json()["rows"]] == [bad.id]
    shown = client.get(f"{url}/{bad.id}").json()
    (evidence,) = shown["evidence"]
    assert evidence["exact"]
    assert [part["text"] for part in evidence["parts"] if part["kind"] == "answer"] == ["23:10"]
    assert "".join(p["text"] for p in evidence["parts"] if p["kind"] != "context") == bad.evidence[0].quote
    refused = client.post(f"{url}/{bad.id}/reviews", json={"verdict": "keep", "answer": "23:59"})
    assert refused.status_code == 400
    assert "'23:59' is not in the passage" in refused.json()["error"]["message"]
    body = {"verdict": "keep", "question": "When does the last bus leave the gate?"}
    kept = client.post(f"{url}/{bad.id}/reviews", json=body).json()
    assert (kept["kept"], kept["edited"], kept["question"]) == (True, True, body["question"])
    assert client.post(f"{url}/{good.id}/reviews", json={"verdict": "reject", "reason": "Odd."}).status_code == 201
    states = client.get(url, params={"state": "reviewed"}).json()["counts"]["states"]
    assert states == {"all": 2, "kept": 1, "rejected": 1, "undecided": 0, "reviewed": 2}
    undone = client.post(f"{url}/{good.id}/reviews", json={"verdict": "undo"}).json()
    assert (undone["kept"], undone["review"]) == (True, None)
    with Ledger(folder / "rows.ledger.sqlite") as ledger:
        reviews = current_reviews(ledger)
        assert len(ledger.reviews()) == 3
    assert reviews[bad.id].person == "you"
    assert reviews[good.id] is None
    assert client.get(f"{url}/{'0' * 32}").status_code == 404
    assert client.post(f"{url}/{bad.id}/reviews", json={"verdict": "maybe"}).status_code == 422


def test_files_of_rows_need_a_collection_that_exists(indexes, tmp_path):
    from ragkit.serving.reviewing import row_reviews

    write_rows(tmp_path / "rows.jsonl", [])
    for rows, reason in (
        ({"": tmp_path / "none.jsonl"}, "does not exist"),
        ({"other": tmp_path / "rows.jsonl"}, "Unknown collection 'other'"),
    ):
        app = make_app(ServeOptions(indexes=indexes, rows=rows, models=("none",)))
        try:
            with pytest.raises(SettingsError, match=reason):
                app.state.context.part(row_reviews)
        finally:
            app.state.context.close()
