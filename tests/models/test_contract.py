"""What every chat model keeps to, run over real ones."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from ragkit.errors import PromptError
from ragkit.models import GenerationOptions, complete
from ragkit.models.anthropic import AnthropicModel
from ragkit.models.api import OpenAICompatibleModel
from ragkit.models.langchain import LangChainModel
from ragkit.models.scripted import ScriptedModel
from ragkit.records import Message
from tests.models.endpoints import said_end, said_start, said_text

REPLY = "One two three. Grüße, 你好 🎉 and more."
ASK = [Message("system", "Be brief."), Message("user", "Count to three.")]


class Handler(BaseHTTPRequestHandler):
    """A small endpoint that streams REPLY and honours stop and max_tokens."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        words = [word + " " for word in REPLY.split()]
        text = "".join(words[: body["max_tokens"]]).rstrip()
        finish = "length" if body["max_tokens"] < len(words) else "stop"
        for stop in body.get("stop", body.get("stop_sequences", ())):
            if stop in text:
                text, finish = text[: text.index(stop)], "stop"
        events = [{"choices": [{"delta": {"content": piece}}]} for piece in (text[:5], text[5:])]
        events.append({"choices": [{"delta": {}, "finish_reason": finish}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 9}})
        payload = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        if self.path == "/v1/messages":
            payload = self.messages(text, "max_tokens" if finish == "length" else "end_turn").decode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(payload.encode())

    def messages(self, text, reason):
        return said_start() + said_text(text[:5]) + said_text(text[5:]) + said_end(reason)

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


@pytest.fixture(params=["smollm2", "api", "anthropic", "langchain", "scripted"])
def model(request, endpoint, smollm2):
    if request.param == "smollm2":
        return smollm2
    if request.param == "api":
        return OpenAICompatibleModel("tiny", endpoint)
    if request.param == "anthropic":
        return AnthropicModel("tiny", endpoint)
    if request.param == "langchain":
        return LangChainModel(GenericFakeChatModel(messages=iter([AIMessage(REPLY)] * 9)))
    return ScriptedModel(REPLY)


def test_last_delta_alone_carries_finish_and_usage(model):
    deltas = list(model.stream(ASK, GenerationOptions(max_tokens=40)))
    assert [delta.finish for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish in ("stop", "length")
    assert deltas[-1].usage.prompt_tokens > 0
    assert "".join(delta.text for delta in deltas).strip()


def test_stop_never_shows_and_cuts_there(model):
    whole = complete(model, ASK, GenerationOptions(max_tokens=40)).text
    stop = whole[3:6]
    cut = complete(model, ASK, GenerationOptions(max_tokens=40, stop=(stop,)))
    assert cut.text == whole[: whole.index(stop)]
    assert cut.finish == "stop"


def test_max_tokens_is_kept(model):
    reply = complete(model, ASK, GenerationOptions(max_tokens=2))
    assert reply.finish == "length"
    assert len(reply.text.split()) <= 3


def test_no_messages_is_an_error(model):
    with pytest.raises(PromptError, match="no messages"):
        complete(model, [])


def test_count_is_never_less_than_the_words(model):
    assert model.count_tokens([Message("user", "alpha beta gamma delta")]) >= 4
    assert model.count_tokens(ASK) > model.count_tokens(ASK[:1])
    assert model.window >= 512
    assert model.name
