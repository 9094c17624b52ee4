"""ragkit's own routes on a real server, with the real small model."""

import json
import re
import shutil

import httpx
import pytest

from ragkit.errors import SettingsError
from ragkit.serving.context import ServeOptions
from ragkit.serving.routes.page import page_files
from ragkit.serving.running import Server
from tests.serving.events import ask

QUESTION = "What is the focal length of the Meridian 40?"


@pytest.fixture(scope="module")
def chat(client):
    """All events of an answer in chat mode."""
    return ask(client, question=QUESTION, mode="chat", k=3)


def test_me_on_this_machine_is_the_owner(client):
    me = client.get("/api/me").json()
    assert me.pop("limits")["question"] == 8000
    assert me == {"name": "you", "open": True, "owner": True, "rights": {"samples": "admin"}}


def test_collections_tell_what_is_in_them(client):
    (found,) = client.get("/api/collections").json()["collections"]
    assert (found["name"], found["documents"], found["right"], found["examples"]) == ("samples", 12, "admin", 0)
    assert found["chunks"] > 12
    assert found["embedding_model"].startswith("all-MiniLM-L6-v2")


def test_collection_is_made_and_can_be_asked_at_once(client):
    made = client.post("/api/collections", json={"name": "New notes"})
    assert made.status_code == 201, made.text
    assert made.json()["documents"] == 0
    assert client.post("/api/collections", json={"name": "New notes"}).status_code == 409
    assert "New notes" in client.get("/api/me").json()["rights"]
    *_, (name, data) = ask(client, "New notes", question="What is here?", mode="quotes")
    assert name == "finished"
    assert data["message"]["answer"]["abstained"]


def test_collection_that_was_deleted_and_made_anew_is_the_new_one(client, indexes, sample_index):
    client.post("/api/collections", json={"name": "short-lived"})
    assert ask(client, "short-lived", question=QUESTION, mode="quotes")[-1][1]["message"]["answer"]["abstained"]
    shutil.rmtree(indexes / "short-lived")
    assert client.get("/api/collections/short-lived/search", params={"query": "a"}).status_code == 404
    shutil.copytree(sample_index, indexes / "short-lived")
    assert not ask(client, "short-lived", question=QUESTION, mode="quotes")[-1][1]["message"]["answer"]["abstained"]
    shutil.rmtree(indexes / "short-lived")


@pytest.mark.parametrize("name", ["", ".", "..", ".serving", "a/b", "../up", "x" * 65, "a\nb", "samples/", " x"])
def test_collection_with_a_name_that_is_none_is_refused(client, indexes, name):
    before = sorted(path.name for path in indexes.iterdir())
    assert client.post("/api/collections", json={"name": name}).status_code == 400
    assert sorted(path.name for path in indexes.iterdir()) == before


def test_models_are_listed_with_the_default_first(client):
    listed = client.get("/api/models").json()
    assert listed["models"][0] == {"name": "smollm2", "kind": "local", "default": True}
    assert listed["models"][-1] == {"name": "none", "kind": "none", "default": False}
    assert listed["default_mode"] == "auto"


def test_answer_in_chat_comes_as_events_in_their_order(chat):
    names = [name for name, _ in chat]
    assert names[:3] == ["conversation", "retrieved", "prompt"]
    assert set(names[3:-1]) == {"generating", "delta"}
    assert names[-1] == "finished"
    said = dict(chat)
    assert said["prompt"]["tokens"] > 100
    hit = said["retrieved"]["hits"][0]
    assert "focal length" in hit["text"]
    assert hit["name"] == "telescope-manual.pdf"
    assert hit["page"] is not None
    message = said["finished"]["message"]
    assert message["config"] == {"collection": "samples", "model": "smollm2", "mode": "chat", "shots": 4}
    assert message["html"].startswith("<p>")
    assert (message["role"], message["stopped"], message["rating"]) == ("assistant", False, None)


def test_citation_is_the_quote_in_its_document(client, server):
    *_, (_, data) = ask(client, question=QUESTION, mode="quotes")
    answer = data["message"]["answer"]
    assert answer["citations"]
    for citation in answer["citations"]:
        index = server.context.collections.open("samples", server.context.people.by_token(None)).index
        text = index.document(citation["document_id"]).text
        assert text[citation["start"] : citation["end"]] == citation["quote"]
        assert f'data-number="{citation["number"]}"' in data["message"]["html"]


def test_extract_says_a_span_and_quotes_need_no_model(client):
    *_, (_, extracted) = ask(client, question=QUESTION, mode="extract", k=2)
    assert extracted["message"]["config"]["model"] == "smollm2"
    (citation,) = extracted["message"]["answer"]["citations"]
    assert " ".join(citation["quote"].split()) == extracted["message"]["text"]
    *_, (_, quoted) = ask(client, question=QUESTION, model="none")
    assert quoted["message"]["config"] == {"collection": "samples", "model": "none", "mode": "quotes", "shots": 0}


def test_why_has_everything_that_led_to_the_answer(client, chat):
    message = dict(chat)["finished"]["message"]
    why = client.get(f"/api/messages/{message['id']}/why").json()
    assert why["query"] == QUESTION
    assert (why["mode"], why["why_mode"], why["model"]) == ("chat", "asked for", "smollm2")
    assert [one["role"] for one in why["prompt"]] == ["system", "user"]
    assert QUESTION in why["prompt"][-1]["content"]
    assert sum(section["tokens"] for section in why["receipt"]["sections"]) == why["receipt"]["tokens"]
    assert why["usage"]["prompt_tokens"] == why["receipt"]["tokens"]
    assert {"dense", "keyword", "fused"} <= set(why["hits"][0]["scores"])
    assert {"retrieve", "answer"} <= set(why["seconds"])
    assert why["reply"] == "".join(data["text"] for name, data in chat if name == "delta")


def test_no_answer_and_no_reason_names_a_path(client, indexes, chat):
    message = dict(chat)["finished"]["message"]
    bodies = [str(chat), client.get(f"/api/messages/{message['id']}/why").text, client.get("/api/collections").text]
    for body in bodies:
        assert str(indexes) not in body
        assert "/docs/samples" not in body


def test_filter_holds_and_a_wrong_one_is_told(client):
    events = dict(ask(client, question=QUESTION, mode="quotes", where="media_type = 'text/html'"))
    assert all(hit["name"].endswith(".html") for hit in events["retrieved"]["hits"])
    wrong = client.post("/api/collections/samples/answers", json={"question": QUESTION, "where": "title =="})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["hint"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"question": "  "}, 400),
        ({"question": "x" * 8001}, 400),
        ({"question": "a", "mode": "guess"}, 400),
        ({"question": "a", "model": "none", "mode": "chat"}, 400),
        ({"question": "a", "model": "/etc/passwd.gguf"}, 404),
        ({"question": "a", "model": "openai:gpt-5"}, 404),
        ({"question": "a", "conversation": "nope"}, 404),
        ({"question": "a", "k": 0}, 422),
        ({"question": "\ud800"}, 422),
        ({}, 422),
    ],
)
def test_wrong_question_is_refused_in_one_form(client, body, status):
    content = json.dumps(body)
    got = client.post("/api/collections/samples/answers", content=content, headers={"content-type": "application/json"})
    assert got.status_code == status, got.text
    assert set(got.json()["error"]) == {"message", "hint", "type", "code", "param"}


def test_collection_that_is_not_there_is_404(client):
    got = client.post("/api/collections/nope/answers", json={"question": "a"})
    assert got.status_code == 404
    assert got.json()["error"]["message"] == "Unknown collection."


def test_health_metrics_and_openapi(client, chat):
    assert client.get("/health").json()["status"] == "ok"
    metrics = client.get("/metrics").text
    assert re.search(r'ragkit_answers_total\{mode="chat",outcome="\w+"\} [1-9]', metrics)
    assert "ragkit_first_token_seconds_count" in metrics
    paths = client.get("/openapi.json").json()["paths"]
    assert "/api/collections/{collection}/answers" in paths
    assert "/v1/chat/completions" in paths


def test_docs_load_nothing_from_elsewhere(client):
    page = client.get("/docs").text
    assert "/api/collections/{collection}/answers" in page
    assert not re.search(r"https?://|<script", page)
    assert client.get("/docs.css").headers["content-type"].startswith("text/css")


def test_page_names_nothing_from_the_root_so_that_it_works_below_any_path(client):
    texts = (".html", ".css", ".js")
    page = {name: file.body.decode() for name, file in page_files().items() if name.endswith(texts)}
    absolute = {name: re.findall(r"""["'`(=]/(?:api|page|v1|docs)\b.*""", text) for name, text in page.items()}
    assert {name: found for name, found in absolute.items() if found} == {}
    assert not re.findall(r"""(?:href|src)=["']?/""", client.get("/docs").text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"public_url": "docs.example.org"}, "public URL 'docs.example.org'"),
        ({"public_url": "https://docs.example.org/?a=b"}, "public URL"),
        ({"root_path": "/../x"}, "root path '/../x'"),
        ({"root_path": "api"}, "root path /api"),
        ({"proxies": ("localhost",)}, "proxy address 'localhost'"),
    ],
)
def test_address_behind_a_proxy_that_is_none_is_refused(tmp_path, options, said):
    with pytest.raises(SettingsError, match=re.escape(said)):
        Server(ServeOptions(indexes=tmp_path, port=0, **options))


def test_port_in_use_is_told(server, indexes):
    from ragkit.errors import SettingsError

    with pytest.raises(SettingsError, match="Failed to listen on") as caught:
        Server(ServeOptions(indexes=indexes, port=server.port))
    assert "--port" in caught.value.hint


def test_unknown_route_and_method_have_the_same_form(client):
    assert client.get("/api/nope").json()["error"]["type"] == "invalid_request_error"
    got = client.put("/api/me")
    assert (got.status_code, set(got.json())) == (405, {"error"})


def test_body_that_is_no_json_is_refused(client: httpx.Client):
    got = client.post("/api/collections", content=b"\xff{", headers={"content-type": "application/json"})
    assert got.status_code == 400
    assert got.json()["error"]["type"] == "invalid_request_error"
