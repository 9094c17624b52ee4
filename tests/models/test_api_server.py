"""A real server that speaks OpenAI's protocol: llama-cpp-python's own, with the packaged model."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from ragkit.errors import ModelNotFoundError, ModelUnavailableError
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.files import model_path
from ragkit.records import Message
from tests.logit_noise import DEVIATION

ASK = [Message("system", "You are a helpful assistant."), Message("user", "What is the capital of France?")]
NUMBERS = ", ".join(map(str, range(1, 21)))
# Every token of the reply is far likelier than the next one, so that no arithmetic of a CPU changes it.
COUNT = [*[Message("user", "Say the numbers."), Message("assistant", NUMBERS)] * 2, Message("user", "Say the numbers.")]

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("llama_cpp", "uvicorn", "starlette_context")),
    reason="llama-cpp-python[server] is not installed",
)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of a server on a free port, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"model": model_path("default"), "port": port, "n_ctx": 512, "n_threads": 1, "n_threads_batch": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "llama_cpp.server", "--host", "127.0.0.1", *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if name != "CONFIG_FILE"},
        )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{url}/models", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, log.read_text(errors="replace")[-2000:]
                assert time.monotonic() < end, "the server does not start"
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def model(server):
    # The server likes no repetition unless it is told otherwise; the local model has no such liking.
    opened = open_model(
        "openai:smollm2", base_url=server, window=512, timeout=120.0, extra_body={"repeat_penalty": 1.0}
    )
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def local():
    opened = open_model("smollm2", threads=1, window=512)
    yield opened
    opened.close()


def test_greedy_text_is_that_of_the_local_model(model, local):
    options = GenerationOptions(max_tokens=60, temperature=0.0)
    served = complete(model, COUNT, options)
    here = complete(local, COUNT, options)
    assert served.text == here.text
    assert len(served.text) > 20
    assert model.count_tokens(ASK) >= local.count_tokens(ASK)


def test_reply_comes_in_pieces_and_the_last_tells_the_end(model):
    deltas = list(model.stream(ASK, GenerationOptions(max_tokens=6)))
    assert sum(bool(delta.text) for delta in deltas) > 1
    assert (deltas[-1].finish, deltas[-1].usage.completion_tokens) == ("length", 6)
    assert deltas[-1].usage.prompt_tokens > 0


def test_stop_ends_the_reply_before_it(model):
    whole = complete(model, COUNT, GenerationOptions(max_tokens=12, temperature=0.0)).text
    stop = whole[4:7]
    reply = complete(model, COUNT, GenerationOptions(max_tokens=12, temperature=0.0, stop=(stop,)))
    assert (reply.text, reply.finish) == (whole[: whole.index(stop)], "stop")


@pytest.mark.skipif(DEVIATION in os.environ, reason="the server's model has no noise")
def test_logprobs_are_those_of_the_local_model(model, local):
    options = GenerationOptions(max_tokens=6, temperature=0.0, logprobs=True)
    served = complete(model, COUNT, options).logprobs
    assert served == pytest.approx(complete(local, COUNT, options).logprobs, abs=0.05)
    assert len(served) == 6


def test_schema_is_kept_in_the_form_that_this_server_knows(server):
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    form = {"type": "json_object", "schema": schema}
    model = open_model("openai:smollm2", base_url=server, extra_body={"response_format": form})
    reply = complete(model, ASK, GenerationOptions(max_tokens=40, json_schema=schema))
    assert json.loads(reply.text)["city"] in ("Paris", "Rome")


def test_server_is_free_again_after_a_reader_has_left(model):
    reply = model.stream(ASK, GenerationOptions(max_tokens=400))
    next(reply)
    reply.close()
    assert complete(model, ASK, GenerationOptions(max_tokens=2)).usage.completion_tokens == 2


def test_wrong_path_is_told(server):
    with pytest.raises(ModelNotFoundError, match="404"):
        complete(open_model("openai:smollm2", base_url=server.replace("/v1", "/v2")), ASK)


def test_prompt_that_is_too_long_for_the_server_is_told(server, model):
    with pytest.raises(ModelUnavailableError, match=r"aborted the reply|closed the connection"):
        complete(open_model("openai:smollm2", base_url=server, max_retries=0), [Message("user", "word " * 2000)])
    assert complete(model, ASK, GenerationOptions(max_tokens=2)).text
