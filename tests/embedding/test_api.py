"""Embedding models behind an endpoint, asked on a real server of this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from ragkit import Assistant, Index
from ragkit.embedding import ApiEmbedder, open_embedder
from ragkit.embedding.api import ApproximateTokenizer, is_endpoint_name
from ragkit.errors import (
    EmbeddingError,
    ModelAuthenticationError,
    ModelRequestError,
    ModelUnavailableError,
    SettingsError,
)


class Server(ThreadingHTTPServer):
    """Embeds a text as the counts of its letters, in the reverse order of the texts; logs the requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.reply = [], None
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        data = [
            {"object": "embedding", "index": number, "embedding": [1 + text.count(letter) for letter in "abcdefgh"]}
            for number, text in enumerate(body["input"])
        ]
        status, reply = self.server.reply or (200, {"object": "list", "data": data[::-1], "model": body["model"]})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(reply if isinstance(reply, bytes) else json.dumps(reply).encode())

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    with Server() as running:
        yield running
        running.shutdown()


def test_vectors_are_unit_length_in_the_order_of_the_texts(server):
    embedder = open_embedder(f"openai:letters@{server.url}")
    texts = ["aaa", "bbb", "", "x " * 300]
    vectors = embedder.embed(texts, "query")
    assert vectors.shape == (4, embedder.dimension) == (4, 8)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (int(vectors[0].argmax()), int(vectors[1].argmax())) == (0, 1)
    assert embedder.embed([]).shape == (0, 8)
    path, _, body = server.requests[0]
    assert (path, body["model"]) == ("/v1/embeddings", "letters")
    # The key of OpenAI is for OpenAI's own address.
    assert all("authorization" not in headers for _, headers, _ in server.requests)


def test_own_key_of_an_endpoint_is_sent_and_never_shown(server, monkeypatch):
    monkeypatch.setenv("RAGKIT_EMBEDDING_API_KEY", "sk-own-key")
    embedder = open_embedder(f"openai:letters@{server.url}")
    embedder.embed(["a"])
    assert server.requests[0][1]["authorization"] == "Bearer sk-own-key"
    server.reply = 400, {"error": {"message": "bad key sk-own-key"}}
    with pytest.raises(ModelRequestError) as caught:
        embedder.embed(["a"])
    assert "sk-own-key" not in str(caught.value)


def test_prompts_of_the_family_are_sent(server):
    embedder = open_embedder(f"ollama:nomic-embed-text@{server.url}")
    embedder.embed(["a"], "query")
    embedder.embed(["a"], "document")
    assert [body["input"] for _, _, body in server.requests] == [["search_query: a"], ["search_document: a"]]


def test_index_remembers_the_endpoint_by_name(server, tmp_path):
    name = f"openai:letters@{server.url}"
    (tmp_path / "a.txt").write_text("The ferry leaves at nine.")
    with Index.open(tmp_path / "index", embedder=name, create=True) as index:
        index.sync(tmp_path / "a.txt")
        assert index.embedder.model_id == "openai:letters"
    with Index.open(tmp_path / "index") as index:
        assert index.embedder.location == name
        assert len(index.search("ferry")) == 1
        answer = Assistant(index, model=None).ask("When does the ferry leave?")
        assert "nine" in answer.text


def test_errors_name_the_endpoint_and_what_to_do(server):
    name = f"openai:letters@{server.url}"
    embedder = ApiEmbedder(name, max_retries=0)
    for reply, error, text in [
        ((401, {"error": {"message": "no"}}), ModelAuthenticationError, "answered 401"),
        ((503, {"error": {"message": "busy"}}), ModelUnavailableError, "answered 503"),
        ((200, {"data": [{"index": 0, "embedding": [1.0]}]}), EmbeddingError, "for 2 texts"),
        ((200, {"data": [{"index": 0, "embedding": ["x"]}] * 2}), EmbeddingError, "sent no vectors"),
        ((200, {"models": []}), EmbeddingError, "sent no vectors"),
        ((200, b"<html>"), EmbeddingError, "endpoint of"),
    ]:
        server.reply = reply
        with pytest.raises(error, match=text) as caught:
            embedder.embed(["a", "b"])
        assert name in str(caught.value)
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelUnavailableError, match="can't be reached"):
        embedder.embed(["a"])


def test_name_of_another_form_and_a_missing_key_are_told(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with pytest.raises(ModelAuthenticationError, match="no API key"):
        open_embedder("openai:text-embedding-3-small")
    with pytest.raises(SettingsError, match="does not name an embedding model"):
        open_embedder("anthropic:claude")
    with pytest.raises(SettingsError, match="does not name an embedding model"):
        open_embedder("openai:")
    assert not is_endpoint_name("hf:a/b")
    assert not is_endpoint_name("default")


def test_known_models_have_their_windows(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert open_embedder("openai:text-embedding-3-small").window == 8191
    assert open_embedder("ollama:mxbai-embed-large").window == 512


@pytest.mark.parametrize(
    "text",
    [
        "The last bus leaves at 23:10.",
        "Donaudampfschifffahrtsgesellschaft",
        "最后一班车于23:10发车。",
        "آخر حافلة تغادر",
        "🚌🌙 x",
    ],
)
def test_approximate_tokens_hold_the_text_and_are_never_fewer_than_real_ones(text):
    from ragkit.embedding import locate
    from ragkit.embedding.tokenizer import FastTokenizer

    tokenizer = ApproximateTokenizer()
    spans = tokenizer.offsets(text)
    covered = {at for start, end in spans for at in range(start, end)}
    assert covered == {at for at, character in enumerate(text) if not character.isspace()}
    assert tokenizer.count(text) >= FastTokenizer(locate().folder / "tokenizer.json").count(text)
