"""LangChain models: their errors become ragkit's, and a stop string is kept even where the model ignores it."""

import sys
import traceback
from types import ModuleType
from typing import ClassVar

import pytest
from langchain.chat_models import base
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import SecretStr

from ragkit.errors import (
    MissingExtraError,
    ModelAuthenticationError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    SettingsError,
)
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.langchain import LangChainModel
from ragkit.records import Message

CHAT = [Message("system", "Brief."), Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Go on")]


class StatusError(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status_code = status


class APIConnectionError(Exception):
    pass


class Failing(GenericFakeChatModel):
    error: object

    def _stream(self, *arguments, **options):
        yield ChatGenerationChunk(message=AIMessageChunk("One "))
        raise self.error


class Parts(GenericFakeChatModel):
    seen: ClassVar[list] = []

    def _stream(self, messages, *arguments, **options):
        self.seen.extend(messages)
        usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
        yield ChatGenerationChunk(message=AIMessageChunk([{"type": "text", "text": "One "}, {"type": "image"}]))
        yield ChatGenerationChunk(message=AIMessageChunk("two", usage_metadata=usage))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (StatusError(401), ModelAuthenticationError),
        (StatusError(404), ModelNotFoundError),
        (StatusError(429), ModelRateLimitError),
        (StatusError(503), ModelUnavailableError),
        (StatusError(400), ModelRequestError),
        (TimeoutError("slow"), ModelTimeoutError),
        (APIConnectionError("gone"), ModelUnavailableError),
        (ValueError("odd"), ModelRequestError),
    ],
)
def test_errors_are_told_by_kind(raised, expected):
    model = LangChainModel(Failing(messages=iter([]), error=raised))
    with pytest.raises(expected, match=type(raised).__name__) as caught:
        complete(model, CHAT)
    assert type(caught.value) is expected
    assert caught.value.__cause__ is raised


def test_parts_roles_and_counts_come_through():
    inner = Parts(messages=iter([]))
    reply = complete(LangChainModel(inner), CHAT)
    assert reply.text == "One two"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 3)
    assert [message.type for message in inner.seen] == ["system", "human", "ai", "human"]


def test_stop_over_several_chunks_shows_no_part():
    model = LangChainModel(GenericFakeChatModel(messages=iter([AIMessage("alpha beta gamma delta")])))
    assert complete(model, CHAT, GenerationOptions(stop=("beta gamma",))).text == "alpha "


def test_something_else_than_a_chat_model_is_refused():
    with pytest.raises(SettingsError, match="dict"):
        LangChainModel({})


def test_key_that_an_error_repeats_is_taken_out():
    class Keyed(Failing):
        token: SecretStr = SecretStr("sk-very-secret")

    model = LangChainModel(Keyed(messages=iter([]), error=ValueError("no sk-very-secret here")))
    with pytest.raises(ModelRequestError, match=r"no \*\*\* here") as caught:
        complete(model, CHAT)
    assert "sk-very-secret" not in "".join(traceback.format_exception(caught.value)) + repr(model)


def test_limit_of_tokens_is_told_by_either_name():
    class Cut(GenericFakeChatModel):
        told: dict

        def _stream(self, *arguments, **options):
            yield ChatGenerationChunk(message=AIMessageChunk("One", response_metadata=self.told))

    for told in ({"finish_reason": "MAX_TOKENS"}, {"stop_reason": "max_tokens"}, {"finish_reason": "length"}):
        assert complete(LangChainModel(Cut(messages=iter([]), told=told)), CHAT).finish == "length"


def test_provider_without_its_package_says_what_to_install():
    with pytest.raises(MissingExtraError, match="pip install langchain-google-genai"):
        open_model("google_genai:gemini-2.5-flash")


def test_provider_that_langchain_does_not_know_is_told():
    with pytest.raises(SettingsError, match="mistralai"):
        open_model("nobody:tiny")


@pytest.fixture
def provider(monkeypatch):
    """A provider's package, as LangChain would import it."""

    class ChatXAI(Parts):
        model: str
        api_key: SecretStr
        base_url: str = ""
        temperature: float = 0.5

        def __init__(self, **options):
            super().__init__(messages=iter([]), **options)

    package = ModuleType("langchain_xai")
    package.ChatXAI = ChatXAI
    monkeypatch.setitem(sys.modules, "langchain_xai", package)
    yield
    base._get_chat_model_creator.cache_clear()


def test_provider_is_opened_by_langchain_and_costs(provider, tmp_path, monkeypatch):
    prices = tmp_path / "prices.toml"
    prices.write_text("[xai]\ngrok = { prompt = 1.0, completion = 2.0 }\n")
    monkeypatch.setenv("MY_KEY", "sk-mine")
    model = open_model("xai:grok", api_key_env="MY_KEY", prices=prices, window=999, temperature=0.0)
    assert (model.name, model.window, model._model.temperature) == ("grok", 999, 0.0)
    assert model._model.api_key.get_secret_value() == "sk-mine"
    assert complete(model, CHAT).usage.cost == pytest.approx((7 * 1.0 + 3 * 2.0) / 1e6)
    assert complete(open_model("xai:grok", api_key="k"), CHAT).usage.cost is None


def test_option_that_the_provider_refuses_is_told_without_the_key(provider):
    secret = "-".join(["sk", "very", "secret"])  # so that no line of this file, which the traceback shows, holds it
    with pytest.raises(SettingsError, match="temperature") as caught:
        open_model("xai:grok", api_key=secret, temperature="hot")
    assert secret not in "".join(traceback.format_exception(caught.value))
