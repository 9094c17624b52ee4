"""Hosts, origins, headers, limits, errors: what holds for every request."""

import json
import logging

import httpx
import pytest

from ragkit.errors import IndexDamagedError, ModelFileError, QueryError
from ragkit.serving.context import ServeOptions
from ragkit.serving.failures import RequestError, to_error_body, without_paths
from ragkit.serving.limits import Limits, Rates
from ragkit.serving.security import allowed_hosts
from tests.serving.conftest import running

ANSWERS = "/api/collections/samples/answers"


@pytest.fixture(scope="module")
def server(indexes):
    with running(ServeOptions(indexes=indexes, port=0, models=("none",), limits=Limits(requests=100_000))) as made:
        yield made


@pytest.mark.parametrize(
    "path", ["/", "/api/me", "/health", "/docs", "/nope", "/api/collections/nope/search", "/page/nope"]
)
def test_every_response_has_the_headers(client, path):
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"]
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_stream_has_the_headers_that_keep_it_a_stream(client):
    with client.stream("POST", ANSWERS, json={"question": "focal length?"}) as got:
        assert got.headers["x-accel-buffering"] == "no"
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["content-type"].startswith("text/event-stream")
        assert "content-security-policy" in got.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::2]", "", "localhost.evil"]
)
def test_name_that_is_not_ours_is_refused(client, host):
    got = client.get("/api/me", headers={"host": host})
    assert got.status_code == 421
    assert got.json()["error"]["code"] == "wrong_host"


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST:8000"])
def test_names_of_this_machine_pass(client, host):
    assert client.get("/api/me", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", ""])
def test_request_from_another_sites_page_is_refused(client, origin):
    got = client.post("/api/collections", json={"name": "x"}, headers={"origin": origin})
    assert got.status_code == 403
    assert "x" not in client.get("/api/me").json()["rights"]


def test_request_from_the_own_page_passes(client, server):
    headers = {"origin": server.url.rstrip("/"), "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert client.get("/api/me", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
    ],
)
def test_only_links_lead_here_from_elsewhere(client, headers, status):
    assert client.get("/health", headers=headers).status_code == status


def test_form_of_another_site_can_not_post(client):
    got = client.post(ANSWERS, content='{"question": "a"}', headers={"content-type": "text/plain"})
    assert got.status_code == 422


def test_names_of_a_server_for_others_are_its_own_and_those_it_was_told():
    hosts = allowed_hosts(ServeOptions(host="0.0.0.0", hosts=("Docs.example",)))
    assert "docs.example" in hosts
    assert "localhost" in hosts
    assert "evil.example" not in hosts


@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_is_too_large_is_refused(client, chunked):
    def parts():
        yield b'{"question": "'
        for _ in range(40):
            yield b"x" * 50_000
        yield b'"}'

    content = parts() if chunked else b"".join(parts())
    got = client.post(ANSWERS, content=content, headers={"content-type": "application/json"})
    assert got.status_code == 413
    assert got.json()["error"]["code"] == "too_large"


def test_requests_in_a_minute_are_limited_for_each_person():
    now = 0.0
    rates = Rates(Limits(requests=60), clock=lambda: now)
    for _ in range(60):
        rates.count("anna")
    with pytest.raises(RequestError) as caught:
        rates.count("anna")
    assert caught.value.status == 429
    assert caught.value.headers["Retry-After"] == "1"
    rates.count("ben")
    now = 2.0
    rates.count("anna")
    rates.count("anna")
    with pytest.raises(RequestError):
        rates.count("anna")


def test_limit_of_requests_is_told_over_http(tmp_path):
    options = ServeOptions(indexes=tmp_path, port=0, models=("none",), token="t", limits=Limits(requests=3))
    with running(options) as server, httpx.Client(base_url=server.url) as client:
        # Strangers have a limit too, and use up no one else's.
        codes = [client.get("/api/me", headers={"authorization": f"Bearer {n}"}).status_code for n in range(5)]
        assert codes == [401, 401, 401, 429, 429]
        own = {"authorization": "Bearer t"}
        codes = [client.get("/api/me", headers=own).status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]


@pytest.mark.parametrize(
    "text",
    [
        "The file /home/anna/secret/report.pdf is damaged.",
        "indexes/other-team/documents.sqlite is missing",
        "'~/private/x.txt' can't be read",
        "See: ragkit verify /srv/data/indexes/notes",
        r"C:\Users\anna\x.txt is open",
        "(/var/lib/x) file:///etc/passwd",
        "../up/secret.txt",
    ],
)
def test_paths_are_cut_out_of_what_is_told(text):
    said = without_paths(text)
    for word in ("home", "secret/", "other-team", "private", "srv", "Users", "var", "etc", "up/", "/", "\\"):
        assert word not in said


def test_addresses_of_the_web_and_plain_words_stay():
    for text in ("See https://example.com/a/b for more.", "10 %", "Ask for k <= 100."):
        assert without_paths(text).split()[0] == text.split()[0]


def test_errors_of_the_index_and_of_models_tell_nothing_of_the_machine():
    for error in (
        IndexDamagedError("/data/x/documents.sqlite is damaged", "ragkit repair /data/x"),
        ModelFileError("/models/a.gguf is cut short", "ragkit models pull a"),
        QueryError("The index has no document 'a'.", "See what it has: ragkit list /data/x"),
    ):
        said = json.dumps(to_error_body(error))
        assert "/data" not in said
        assert "/models" not in said


def test_unexpected_error_is_told_by_an_id_that_is_in_the_log(client, server, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("the password is tulip, at /srv/secret")

    monkeypatch.setattr(server.context.collections, "names", broken)
    with caplog.at_level(logging.ERROR, "ragkit.serving"):
        got = client.get("/api/collections")
    assert got.status_code == 500
    assert "content-security-policy" in got.headers
    assert set(got.json()["error"]) == {"message", "hint", "type", "code", "param"}
    assert "tulip" not in got.text
    assert "secret" not in got.text
    identity = got.json()["error"]["message"].split()[-1].rstrip(".")
    assert identity in caplog.text
    assert "tulip" in caplog.text


def test_questions_are_not_in_the_log(client, caplog):
    with caplog.at_level(logging.DEBUG, "ragkit"):
        client.post(ANSWERS, json={"question": "where is the hidden marmalade?"})
        client.post("/api/collections/nope/answers", json={"question": "where is the hidden marmalade?"})
    assert "marmalade" not in caplog.text
