"""A source beside its answer: its text by windows, its pages as pictures, the quote's lines on them, and search."""

import io
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from ragkit.indexing import Index
from ragkit.serving.app import make_app
from ragkit.serving.context import ServeOptions

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    (folder / "moved.pdf").write_bytes((SAMPLES / "telescope-manual.pdf").read_bytes())
    with Index.create(folder / "indexes" / "manuals") as index:
        index.add(folder / "moved.pdf", SAMPLES / "annual-report-2025.md", SAMPLES / "prices.csv")
    return make_app(ServeOptions(indexes=folder / "indexes", token="t", models=("scripted",)))


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, base_url="http://127.0.0.1:8000", headers={"Authorization": "Bearer t"}) as opened:
        yield opened


@pytest.fixture(scope="module")
def documents(client):
    listed = client.get("/api/collections/manuals/documents").json()["documents"]
    return {document["name"]: document["id"] for document in listed}


def address(identity, *more):
    return "/".join(["/api/collections/manuals/documents", identity, *map(str, more)])


def test_document_is_told_with_pages_and_headings(client, documents):
    found = client.get(address(documents["moved.pdf"])).json()
    assert found["media_type"] == "application/pdf"
    text = client.get(address(documents["moved.pdf"], "text")).json()
    assert text["characters"] == found["characters"] == len(text["text"])
    assert [page["number"] for page in found["pages"]] == list(range(1, len(found["pages"]) + 1))
    page = found["pages"][0]
    assert text["text"][page["start"] : page["end"]].startswith("1 Safety first")
    assert found["headings"]
    assert set(found) == {"id", "title", "name", "media_type", "characters", "pages", "headings"}


def test_text_comes_in_windows(client, documents):
    whole = client.get(address(documents["annual-report-2025.md"], "text")).json()["text"]
    part = client.get(address(documents["annual-report-2025.md"], "text"), params={"start": 10, "end": 40}).json()
    assert part == {"start": 10, "end": 40, "text": whole[10:40], "characters": len(whole)}
    past = client.get(address(documents["annual-report-2025.md"], "text"), params={"start": 10**9}).json()
    assert past["text"] == ""


def test_hit_is_marked_on_its_page(client, documents):
    found = client.get(
        "/api/collections/manuals/search", params={"query": "Who must be in the dome when the telescope moves?", "k": 3}
    ).json()
    assert found["seconds"] > 0
    hit = found["hits"][0]
    assert (hit["name"], hit["page"]) == ("moved.pdf", 1)
    text = client.get(address(hit["document_id"], "text")).json()["text"]
    assert text[hit["start"] : hit["end"]] == hit["text"]
    quote = re.search(r"Two people.*?moves\.", text, re.DOTALL)
    place = client.get(
        address(hit["document_id"], "pages", 1), params={"start": quote.start(), "end": quote.end()}
    ).json()
    assert place["number"] == 1
    assert len(place["rects"]) == 2
    image = client.get(address(hit["document_id"], "pages", 1, "image"), params={"width": 400})
    assert image.headers["content-type"] == "image/png"
    assert image.headers["cache-control"] == "private, no-cache"
    again = client.get(
        address(hit["document_id"], "pages", 1, "image"),
        params={"width": 400},
        headers={"If-None-Match": image.headers["etag"]},
    )
    assert (again.status_code, again.content) == (304, b"")
    picture = Image.open(io.BytesIO(image.content))
    assert picture.width == 400
    assert picture.height / picture.width == pytest.approx(place["height"] / place["width"], rel=0.01)


def test_filter_and_number_of_hits_are_kept_to(client):
    hits = client.get(
        "/api/collections/manuals/search", params={"query": "price", "k": 4, "where": "media_type == 'text/csv'"}
    ).json()["hits"]
    assert len(hits) == 4
    assert {hit["name"].partition("#")[0] for hit in hits} == {"prices.csv"}
    wrong = client.get("/api/collections/manuals/search", params={"query": "price", "where": "media_type =="})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["hint"]


@pytest.mark.parametrize("rest", ["pages/99", "pages/99/image", "pages/0/image"])
def test_page_that_is_not_there_is_404(client, documents, rest):
    sent = client.get(address(documents["moved.pdf"], rest))
    assert sent.status_code == 404
    assert "text" in sent.json()["error"]["hint"]


def test_format_without_pages_is_404(client, documents):
    for rest in ("pages/1", "pages/1/image"):
        assert client.get(address(documents["annual-report-2025.md"], rest)).status_code == 404


def test_file_that_changed_or_is_gone_is_404_and_its_text_stays(app, client, documents):
    path = app.state.context.state.parent.parent / "moved.pdf"
    content = path.read_bytes()
    try:
        path.write_bytes(content + b"\n")
        changed = client.get(address(documents["moved.pdf"], "pages", 1))
        assert changed.status_code == 404
        assert "changed" in changed.json()["error"]["message"]
        path.unlink()
        gone = client.get(address(documents["moved.pdf"], "pages", 1, "image"))
        assert gone.status_code == 404
        assert str(path.parent) not in gone.text + changed.text
        assert client.get(address(documents["moved.pdf"], "text")).status_code == 200
    finally:
        path.write_bytes(content)


def test_uploaded_pdf_is_drawn_from_where_it_is_kept(client, documents):
    assert client.post("/api/collections", json={"name": "uploaded"}).status_code < 300
    docs = "/api/collections/uploaded/documents"
    content = (SAMPLES / "telescope-manual.pdf").read_bytes()
    job = client.post(docs, files=[("files", ("The manual.pdf", content))]).json()["job"]
    assert "event: done" in client.get(f"/api/jobs/{job}/events").text
    [document] = client.get(docs).json()["documents"]
    assert document["name"] == "The manual.pdf"
    assert client.get(f"{docs}/{document['id']}/pages/1/image").content.startswith(b"\x89PNG")
    # The same document by its id, in a collection that does not have it.
    assert client.get(address(document["id"])).status_code == 404
    assert client.get(f"{docs}/{documents['moved.pdf']}/pages/1/image").status_code == 404


def test_document_by_its_source_is_not_found(app, client):
    source = app.state.context.state.parent.parent / "moved.pdf"
    assert client.get(f"/api/collections/manuals/documents/{str(source).replace('/', '%2F')}").status_code == 404


def test_stranger_sees_nothing_and_in_the_same_words(app, client, documents):
    token = app.state.context.people.add("stranger", {})
    headers = {"Authorization": f"Bearer {token}"}
    for rest in ("", "/text", "/pages/1", "/pages/1/image"):
        refused = client.get(address(documents["moved.pdf"]) + rest, headers=headers)
        missing = client.get(f"/api/collections/none/documents/x{rest}", headers=headers)
        assert refused.status_code == missing.status_code == 404
        assert refused.json() == missing.json()
    search = client.get("/api/collections/manuals/search", params={"query": "dome"}, headers=headers)
    assert search.json() == missing.json()


def test_find_gives_exact_places_in_any_case_and_over_line_breaks(client, documents):
    url = address(documents["moved.pdf"])
    text = client.get(f"{url}/text").json()["text"]
    found = client.get(f"{url}/find", params={"query": "THE   dome"}).json()
    assert found["total"] == len(found["places"]) > 1
    assert {" ".join(text[place["start"] : place["end"]].lower().split()) for place in found["places"]} == {"the dome"}
    # What is searched for is text and no pattern.
    assert client.get(f"{url}/find", params={"query": ".*"}).json() == {"total": 0, "places": []}
    assert client.get(f"{url}/find", params={"query": " "}).json()["total"] == 0


def test_rows_of_a_table_are_grouped_under_their_file(client, documents):
    files = {each["name"]: each for each in client.get("/api/collections/manuals/files").json()["files"]}
    assert set(files) == {"moved.pdf", "annual-report-2025.md", "prices.csv"}
    (listed,) = (each for each in client.get("/api/collections").json()["collections"] if each["name"] == "manuals")
    assert listed["files"] == 3 < listed["documents"]
    table = files["prices.csv"]
    assert table["title"] == "prices.csv"
    rows = client.get("/api/collections/manuals/documents", params={"file": table["id"]}).json()
    assert rows["total"] == table["documents"] == listed["documents"] - 2
    found = client.get("/api/collections/manuals/files", params={"query": rows["documents"][0]["title"]}).json()
    assert "prices.csv" in {each["name"] for each in found["files"]}
    assert client.get("/api/collections/manuals/documents", params={"file": "nope"}).status_code == 404
