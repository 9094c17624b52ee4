"""Servers on this machine: found by their lists of models, and used by their names."""

import json
import socket

import pytest

from ragkit._providers import LOCAL_SERVERS, PROVIDERS
from ragkit.models import complete, open_model
from ragkit.models.local_servers import find_servers
from ragkit.models.opening import is_remote
from ragkit.records import Message
from tests.models.endpoints import GOOD, SILENCE, Endpoint

JSON = {"Content-Type": "application/json"}


def listing(owner, *names):
    entries = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name in names]
    return 200, JSON, json.dumps({"object": "list", "data": entries}).encode()


def test_servers_are_found_with_their_models():
    with (
        Endpoint(listing("library", "llama3.2:latest", "qwen3:4b")) as ollama,
        Endpoint(listing("organization_owner", "qwen2.5-7b-instruct")) as studio,
        Endpoint(listing("llamacpp", "/models/tiny.gguf")) as llama,
        Endpoint(listing("vllm", "Qwen/Qwen3-4B")) as vllm,
    ):
        addresses = {"ollama": ollama.url, "lmstudio": studio.url, "llamacpp": llama.url, "vllm": vllm.url}
        found = find_servers(addresses)
        assert [(server.provider, server.base_url) for server in found] == list(addresses.items())
        assert found[0].models == ("llama3.2:latest", "qwen3:4b")
        headers, body, path = ollama.requests[0]
        assert path == "/v1/models"
        assert body is None
        assert "authorization" not in headers


def test_what_is_no_model_server_is_not_reported():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with (
        Endpoint((200, {}, b"<html>an app of one's own</html>")) as page,
        Endpoint((200, JSON, b'{"data": [1, 2]}')) as numbers,
        Endpoint(listing("ragkit", "demo")) as own,
    ):
        assert find_servers({"ollama": page.url, "lmstudio": numbers.url, "vllm": own.url, "llamacpp": closed}) == []


def test_redirect_is_not_followed_and_a_silent_server_not_waited_for():
    with (
        Endpoint(listing("library", "elsewhere")) as other,
        Endpoint((302, {"Location": f"{other.url}/models"}, b"")) as redirecting,
        Endpoint((200, {}, SILENCE)) as silent,
    ):
        assert find_servers({"ollama": redirecting.url, "lmstudio": silent.url}, timeout=0.2) == []
        assert other.requests == []


@pytest.mark.parametrize("provider", [server.name for server in LOCAL_SERVERS])
def test_model_of_a_local_server_opens_by_its_name_and_needs_no_key(provider, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    name = f"{provider}:llama3.2:latest"
    assert is_remote(name)
    assert PROVIDERS[provider].base_url in repr(open_model(name))
    with Endpoint((200, {}, GOOD)) as server:
        model = open_model(name, base_url=server.url)
        assert complete(model, [Message("user", "hi")]).text == "Hello."
        headers, body, path = server.requests[0]
        assert (path, body["model"]) == ("/v1/chat/completions", "llama3.2:latest")
        assert "authorization" not in headers


def test_window_of_a_server_that_cuts_prompts_silently_is_assumed_small(tmp_path):
    assert open_model("ollama:llama3.2").window == 4096
    assert open_model("ollama:llama3.2", window=32768).window == 32768
    table = tmp_path / "windows.toml"
    table.write_text('[ollama]\n"llama3.2" = 16_384\n')
    assert open_model("ollama:llama3.2", windows=table).window == 16384
