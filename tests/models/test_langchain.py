"""LangChain models: their errors become ragkit's, and a stop string is kept even where the model ignores it."""

from typing import ClassVar

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from ragkit.errors import (
    ModelAuthenticationError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    SettingsError,
)
from ragkit.models import GenerationOptions, complete
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
