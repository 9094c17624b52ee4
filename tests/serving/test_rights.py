"""Every route × every right × every collection: nothing of a collection comes to who may not read it."""

import shutil
import time
from importlib import import_module
from pkgutil import iter_modules

import httpx
import pytest

from ragkit import Document, Index
from ragkit.datagen import DataRow, TextSpan, write_rows
from ragkit.records import Message, document_id
from ragkit.serving import routes
from ragkit.serving.context import ServeOptions
from ragkit.serving.failures import RequestError
from tests.serving.conftest import running
from tests.serving.events import ask, events
from tests.serving.slow import Endless

SECRET = "vault-quokka"
CANARY = "xanthopsia"
TEXT = f"The {CANARY} of the keeper is worth 4,711 crowns. Nobody outside the vault may know it."
QUESTION = "What is the worth of it?"

OPEN, ANYONE, READ, WRITE, OWN, OWNER = "open", "anyone", "read", "write", "own", "owner"
RULES = {
    ("GET", "/"): OPEN,
    ("GET", "/page/{path:path}"): OPEN,
    ("GET", "/health"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/docs.css"): OPEN,
    ("POST", "/api/session"): OPEN,
    ("DELETE", "/api/session"): OPEN,
    ("GET", "/metrics"): ANYONE,
    ("GET", "/api/me"): ANYONE,
    ("GET", "/api/models"): ANYONE,
    ("GET", "/api/collections"): ANYONE,
    ("GET", "/api/conversations"): ANYONE,
    ("GET", "/api/standings"): ANYONE,
    ("GET", "/v1/models"): ANYONE,
    ("POST", "/api/collections"): OWNER,
    ("POST", "/api/collections/{collection}/answers"): READ,
    ("POST", "/api/collections/{collection}/comparisons"): READ,
    ("GET", "/api/collections/{collection}/documents"): READ,
    ("GET", "/api/collections/{collection}/files"): READ,
    ("POST", "/api/collections/{collection}/documents"): WRITE,
    ("GET", "/api/collections/{collection}/documents/{document}"): READ,
    ("DELETE", "/api/collections/{collection}/documents/{document}"): WRITE,
    ("GET", "/api/collections/{collection}/documents/{document}/text"): READ,
    ("GET", "/api/collections/{collection}/documents/{document}/find"): READ,
    ("GET", "/api/collections/{collection}/documents/{document}/pages/{number}"): READ,
    ("GET", "/api/collections/{collection}/documents/{document}/pages/{number}/image"): READ,
    ("GET", "/api/collections/{collection}/search"): READ,
    ("GET", "/api/collections/{collection}/examples"): READ,
    ("POST", "/api/collections/{collection}/examples"): WRITE,
    ("DELETE", "/api/collections/{collection}/examples/{example_id}"): WRITE,
    ("GET", "/api/collections/{collection}/rows"): WRITE,
    ("GET", "/api/collections/{collection}/rows/{row_id}"): WRITE,
    ("POST", "/api/collections/{collection}/rows/{row_id}/reviews"): WRITE,
    ("GET", "/api/collections/{collection}/generation"): WRITE,
    ("POST", "/api/collections/{collection}/generation"): WRITE,
    ("DELETE", "/api/collections/{collection}/generation"): WRITE,
    ("GET", "/v1/models/{model:path}"): READ,
    ("POST", "/v1/chat/completions"): READ,
    ("POST", "/v1/responses"): READ,
    ("POST", "/v1/embeddings"): READ,
    ("GET", "/api/messages/{message}/events"): OWN,
    ("POST", "/api/messages/{message}/stop"): OWN,
    ("GET", "/api/conversations/{conversation}"): OWN,
    ("PATCH", "/api/conversations/{conversation}"): OWN,
    ("DELETE", "/api/conversations/{conversation}"): OWN,
    ("GET", "/api/conversations/{conversation}/export.md"): OWN,
    ("GET", "/api/messages/{message}/why"): OWN,
    ("POST", "/api/messages/{message_id}/rating"): OWN,
    ("POST", "/api/messages/{message_id}/example"): OWN,
    ("POST", "/api/comparisons/{comparison_id}/vote"): OWN,
    ("GET", "/api/jobs/{job}"): OWN,
    ("GET", "/api/jobs/{job}/events"): OWN,
}
BODIES = {
    "/api/session": {"token": "none"},
    "/api/collections": {"name": "made"},
    "/api/collections/{collection}/answers": {"question": QUESTION, "mode": "quotes"},
    "/api/collections/{collection}/comparisons": {"question": QUESTION, "a": {"mode": "quotes"}, "b": {"mode": "chat"}},
    "/api/collections/{collection}/examples": {"input": QUESTION, "output": "Much."},
    "/api/collections/{collection}/rows/{row_id}/reviews": {"verdict": "keep"},
    "/api/collections/{collection}/generation": {"number": 1},
    "/api/conversations/{conversation}": {"title": "Mine"},
    "/api/messages/{message_id}/rating": {"thumb": "up"},
    "/api/comparisons/{comparison_id}/vote": {"winner": "a"},
}
IDS = {"conversation": "conversation", "message": "message", "message_id": "message", "comparison_id": "comparison"}
IDS |= {"job": "job", "document": "document", "example_id": "example", "row_id": "row"}


def every_route():
    for module in sorted(found.name for found in iter_modules(routes.__path__)):
        for route in import_module(f"{routes.__name__}.{module}").router.routes:
            for method in route.methods:
                yield method, route.path


def make_index(path, name, text):
    with Index.create(path) as index:
        made = Document(document_id(name), name, name, text, name, name, "text/plain", {})
        assert index.add(made).complete
    return made


def write_row(path, document, start):
    span = TextSpan.of(document, start, len(document.text))
    write_rows(path, [DataRow("qa", (Message("user", QUESTION),), span.quote, span, (span,))])
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A server with two collections and someone of each right on the first; the second is the owner's alone."""
    folder = tmp_path_factory.mktemp("rights")
    notes = make_index(folder / "notes", "notes.txt", "The worth of the garden is 12 crowns, as all may know.")
    secret = make_index(folder / SECRET, f"{CANARY}.txt", TEXT)
    rows = {"notes": write_row(folder / "notes.jsonl", notes, 28), SECRET: write_row(folder / "s.jsonl", secret, 0)}
    model = Endless(pause=0, words=3)
    options = ServeOptions(indexes=folder, rows=rows, port=0, models=(model,), token="owner's own token")
    with running(options) as server:
        people = server.context.people
        tokens = {right: people.add(f"the {right}", {"notes": right}) for right in ("read", "write", "admin")}
        tokens |= {"stranger": people.add("the stranger"), "owner": "owner's own token"}
        clients = {
            name: httpx.Client(base_url=server.url, timeout=30, headers={"Authorization": f"Bearer {token}"})
            for name, token in tokens.items()
        }
        clients["nobody"] = httpx.Client(base_url=server.url, timeout=30)
        yield server, clients
        for client in clients.values():
            client.close()


def things(client, collection):
    """Make one of everything in a collection, and return their ids."""
    made = dict(ask(client, collection, question=QUESTION, mode="quotes"))
    message = made["finished"]["message"]
    body = {"question": QUESTION, "a": {"mode": "quotes"}, "b": {"mode": "chat"}}
    with client.stream("POST", f"/api/collections/{collection}/comparisons", json=body) as response:
        comparison = dict(events(response))["started"]["id"]
    client.post(f"/api/messages/{message['id']}/rating", json={"correction": f"It is the {CANARY}."})
    example = client.post(
        f"/api/collections/{collection}/examples", json={"input": f"What is {CANARY}?", "output": CANARY}
    ).json()["example"]["id"]
    job = client.post(f"/api/collections/{collection}/documents", files={"files": ("x.txt", f"{CANARY} more")})
    job = job.json()["job"]
    assert "done" in client.get(f"/api/jobs/{job}/events").text
    document = client.get(f"/api/collections/{collection}/documents").json()["documents"][0]["id"]
    ids = {"conversation": message["conversation"], "message": message["id"], "comparison": comparison}
    row = client.get(f"/api/collections/{collection}/rows").json()["rows"][0]["id"]
    return ids | {"job": job, "document": document, "example": example, "row": row}


@pytest.fixture(scope="module")
def secret(place):
    return things(place[1]["owner"], SECRET)


def send(client, method, path, collection, ids):
    """Send a request as it should be, for a route of some collection and for things with some ids."""
    url = path.replace("{collection}", collection).replace("{path:path}", "base.css").replace("{number}", "1")
    url = url.replace("{model:path}", collection)
    for name, kind in IDS.items():
        url = url.replace(f"{{{name}}}", ids[kind])
    more = {}
    if path.endswith("/documents") and method == "POST":
        more["files"] = {"files": ("name.txt", b"Some words.")}
    elif path == "/v1/chat/completions":
        more["json"] = {"model": collection, "messages": [{"role": "user", "content": QUESTION}]}
    elif path == "/v1/responses":
        more["json"] = {"model": collection, "input": QUESTION}
    elif path == "/v1/embeddings":
        more["json"] = {"model": collection, "input": "some words"}
    elif method in ("POST", "PATCH") and path in BODIES:
        more["json"] = BODIES[path]
    elif path.endswith(("/search", "/find")) or path == "/api/conversations":
        more["params"] = {"query": CANARY}
    return client.request(method, url, **more)


def everything(response):
    return f"{response.status_code} {response.headers} {response.text}".lower()


def test_every_route_has_a_rule():
    assert set(every_route()) == set(RULES)


@pytest.mark.parametrize(("method", "path"), sorted(RULES))
def test_route_without_a_token(place, secret, method, path):
    got = send(place[1]["nobody"], method, path, SECRET, secret)
    if RULES[method, path] == OPEN:
        assert got.status_code in (200, 204, 401), got.text
    else:
        assert got.status_code == 401, got.text
        assert got.json()["error"]["code"] == "invalid_api_key"
    assert CANARY not in everything(got)
    assert SECRET not in everything(got)


@pytest.mark.parametrize("person", ["stranger", "read", "write", "admin"])
@pytest.mark.parametrize(("method", "path"), sorted(RULES))
def test_nothing_of_the_secret_collection_comes_to_others(place, secret, method, path, person):
    got = send(place[1][person], method, path, SECRET, secret)
    assert CANARY not in everything(got)
    assert SECRET not in everything(got)
    rule = RULES[method, path]
    if rule in (READ, WRITE, OWN):
        assert got.status_code == 404, got.text
        # In the words for what is not there.
        nothing = dict.fromkeys(secret, "no-such-thing")
        missing = send(place[1][person], method, path, "no-such-collection", nothing)
        assert (missing.status_code, missing.content) == (got.status_code, got.content)
        assert dict(missing.headers) | {"date": ""} == dict(got.headers) | {"date": ""}
    elif rule == OWNER:
        assert got.status_code == 403
    else:
        assert got.status_code in (200, 204, 401)


@pytest.mark.parametrize("person", ["read", "write", "admin", "owner"])
def test_each_right_allows_what_it_says_and_no_more(place, person):
    server, clients = place
    ids = things(clients["owner"], "notes")
    levels = ["read", "write", "admin", "owner"]
    for (method, path), rule in sorted(RULES.items(), key=lambda item: (item[0][0] == "DELETE", item[0])):
        if rule not in (READ, WRITE):
            continue
        got = send(clients[person], method, path, "notes", ids)
        if levels.index(person) >= levels.index(rule):
            assert got.status_code not in (401, 403) and got.status_code < 500, (method, path, got.text)
            # A text has no pages, and rows of a file are not generated; all else is there.
            refused = "pages" in path or (method == "POST" and path.endswith("/generation"))
            assert got.status_code < 300 or refused, (method, path, got.text)
        else:
            assert got.status_code == 403, (method, path, got.text)
    assert server.context.collections.open("notes", server.context.people.by_token("owner's own token"))


def test_owner_finds_the_secret(place, secret):
    """Else the tests above could not fail."""
    owner = place[1]["owner"]
    for path in ("/api/conversations/{conversation}", "/api/messages/{message}/why", "/api/jobs/{job}"):
        got = send(owner, "GET", path, SECRET, secret)
        assert got.status_code == 200
    assert CANARY in send(owner, "GET", "/api/collections/{collection}/search", SECRET, secret).text.lower()
    assert SECRET in owner.get("/api/collections").text
    assert secret["conversation"] in owner.get("/api/conversations", params={"query": CANARY}).text


def test_right_that_is_taken_away_holds_no_more_inside_retrieval(place):
    server, _ = place
    people = server.context.people
    token = people.add("guest", {SECRET: "write"})
    guest = people.by_token(token)
    collection = server.context.collections.open(SECRET, guest, "write")
    retriever = collection.retriever()
    assistant = collection.assistant(None, "quotes")
    pool = collection.pool(create=True)
    chunk = retriever.search(CANARY)[0].chunk
    people.grant("guest", SECRET, "read")
    assert CANARY in retriever.search(CANARY)[0].chunk.text
    with pytest.raises(RequestError) as caught:
        collection.index.remove("anything")
    assert caught.value.status == 403
    people.grant("guest", SECRET, None)
    attempts = [
        lambda: retriever.search(CANARY),
        lambda: assistant.ask(QUESTION),
        lambda: collection.index.document(chunk.document_id),
        lambda: collection.index.neighbours(chunk),
        lambda: collection.index.documents(),
        lambda: len(pool),
        lambda: list(pool),
        lambda: collection.pool(),
    ]
    for attempt in attempts:
        with pytest.raises(RequestError) as caught:
            attempt()
        assert caught.value.status == 404
    people.remove("guest")
    assert people.by_token(token) is None


@pytest.mark.parametrize("how", ["right", "token"])
def test_answer_under_way_ends_when_the_right_is_taken_away(tmp_path, how):
    make_index(tmp_path / "notes", "notes.txt", "The worth of the garden is 12 crowns, as all may know.")
    model = Endless()
    with running(ServeOptions(indexes=tmp_path, port=0, models=(model,), token="owner")) as server:
        people = server.context.people
        headers = {"Authorization": f"Bearer {people.add('guest', {'notes': 'read'})}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=30) as guest:
            body = {"question": "What is the worth of the garden?", "mode": "chat"}
            with guest.stream("POST", "/api/collections/notes/answers", json=body) as response:
                stream = events(response)
                conversation = next(data for name, data in stream if name == "conversation")["id"]
                next(name for name, _ in stream if name == "delta")
                people.remove("guest") if how == "token" else people.grant("guest", "notes", None)
                taken = time.perf_counter()
                *_, (name, last) = stream
            assert time.perf_counter() - taken < 1
            assert name == "error"
            assert last["message"] == "Unknown collection."
            later = guest.get(f"/api/conversations/{conversation}")
            assert later.status_code == (401 if how == "token" else 404)
            if how == "right":
                assert guest.get("/api/conversations").json() == {"conversations": []}


def test_token_is_asked_for_as_soon_as_the_first_is_made(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "samples")
    with running(ServeOptions(indexes=tmp_path, port=0, models=("none",))) as server:
        assert httpx.get(f"{server.url}api/me").json()["open"]
        server.context.people.add("anna", {"samples": "read"})
        assert httpx.get(f"{server.url}api/me").status_code == 401
        server.context.people.remove("anna")
        # It does not open again: whoever's token was removed would be the owner.
        assert httpx.get(f"{server.url}api/me").status_code == 401


def test_session_cookie_is_out_of_reach_of_scripts_and_other_sites(place):
    server, _ = place
    with httpx.Client(base_url=server.url) as browser:
        assert browser.get("/api/me").status_code == 401
        assert browser.post("/api/session", json={"token": "wrong"}).status_code == 401
        done = browser.post("/api/session", json={"token": "owner's own token"})
        cookie = done.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert browser.get("/api/me").json()["owner"]
        browser.delete("/api/session")
        assert browser.get("/api/me").status_code == 401


def test_tokens_are_not_in_the_database(place):
    server, clients = place
    token = clients["read"].headers["authorization"].split()[1]
    folder = server.context.state
    for file in folder.glob("serving.sqlite*"):
        assert token.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
