"""OpenAI's routes, with their own client."""

import json

import httpx
import openai
import pytest

from ragkit import Index
from ragkit._files import name_with_digest
from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running

QUESTION = [{"role": "user", "content": "What is the focal length of the Meridian 40?"}]


@pytest.fixture(scope="module")
def theirs(server):
    with openai.OpenAI(base_url=f"{server.url}v1", api_key="none", max_retries=0) as client:
        yield client


def test_models_are_collections_and_their_models(theirs):
    names = [model.id for model in theirs.models.list()]
    assert names[:2] == ["samples", "samples/smollm2"]
    assert "samples/none" in names
    assert theirs.models.retrieve("samples/smollm2").id == "samples/smollm2"
    with pytest.raises(openai.NotFoundError):
        theirs.models.retrieve("nope")


def test_index_of_a_folder_has_the_name_of_the_folder_and_keeps_its_own(tmp_path):
    for parent in ("one", "two"):
        folder = tmp_path / parent / ("handbook" if parent == "one" else "notes")
        folder.mkdir(parents=True)
        (folder / "gate.txt").write_text("The gate opens at noon.")
        with Index.create(tmp_path / "indexes" / name_with_digest(folder)) as index:
            index.add(folder)
    hashed = name_with_digest(tmp_path / "one" / "handbook")
    with (
        running(ServeOptions(indexes=tmp_path / "indexes", port=0, models=("none",))) as server,
        openai.OpenAI(base_url=f"{server.url}v1", api_key="none", max_retries=0) as client,
    ):
        assert {model.id.partition("/")[0] for model in client.models.list()} == {"handbook", "notes"}
        for name in ("handbook", hashed):
            assert client.models.retrieve(name).id == name
            done = client.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "When does the gate open?"}]
            )
            assert "noon" in done.choices[0].message.content


def test_completion_has_content_usage_and_citations(theirs):
    done = theirs.chat.completions.create(
        model="samples/smollm2", messages=QUESTION, extra_body={"ragkit": {"mode": "quotes"}}
    )
    (choice,) = done.choices
    assert "focal length" in choice.message.content
    (citation,) = choice.message.citations
    assert citation["quote"] in " ".join(choice.message.content.split()) or citation["quote"]
    assert citation["name"] == "telescope-manual.pdf"
    assert choice.finish_reason == "stop"
    assert done.ragkit["mode"] == "quotes"


def test_stream_in_chat_counts_its_tokens(theirs):
    stream = theirs.chat.completions.create(
        model="samples",
        messages=[{"role": "system", "content": "Be kind."}, *QUESTION],
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=3,
        extra_body={"ragkit": {"mode": "chat", "k": 2}},
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert 1 <= len(pieces) <= 3
    last = chunks[-2]
    assert last.choices[0].finish_reason == "length"
    assert isinstance(last.choices[0].delta.citations, list)
    assert last.ragkit["mode"] == "chat"
    assert not chunks[-1].choices
    assert chunks[-1].usage.completion_tokens == 3
    assert chunks[-1].usage.total_tokens == chunks[-1].usage.prompt_tokens + 3


def test_chat_so_far_is_in_the_prompt(theirs):
    def tokens(messages):
        done = theirs.chat.completions.create(
            model="samples", messages=messages, max_tokens=2, extra_body={"ragkit": {"mode": "chat", "k": 1}}
        )
        return done.usage.prompt_tokens

    before = [{"role": "user", "content": "Hello there."}, {"role": "assistant", "content": "Hello to you."}]
    assert tokens([*before, *QUESTION]) > tokens(QUESTION) + 8


def test_stream_without_deltas_gives_the_answer_in_one(theirs):
    stream = theirs.chat.completions.create(
        model="samples/none",
        messages=[{"role": "user", "content": [{"type": "text", "text": "focal length?"}]}],
        stream=True,
    )
    said = [chunk.choices[0].delta.content for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    assert len(said) == 1


def test_embeddings_are_those_of_the_collection(theirs, server):
    texts = ["one telescope", "another"]
    got = theirs.embeddings.create(model="samples", input=texts)
    ctx = server.context
    embedder = ctx.collections.open("samples", ctx.people.by_token(None)).index.embedder
    wanted = embedder.embed(texts)
    assert [item.embedding for item in got.data] == [pytest.approx(row.tolist()) for row in wanted]
    assert got.usage.prompt_tokens > 2
    plain = theirs.embeddings.create(model="samples", input="one telescope", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(got.data[0].embedding)


@pytest.mark.parametrize(
    "more",
    [{"n": 2}, {"tools": [{"type": "web_search"}]}, {"logprobs": True}],
)
def test_what_is_not_done_is_refused_and_not_left_out(theirs, more):
    with pytest.raises(openai.BadRequestError) as caught:
        theirs.chat.completions.create(model="samples", messages=QUESTION, **more)
    assert caught.value.code == "unsupported"
    assert caught.value.body["hint"]


def test_wrong_requests_are_their_errors(theirs):
    with pytest.raises(openai.NotFoundError) as caught:
        theirs.chat.completions.create(model="nope", messages=QUESTION)
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        theirs.chat.completions.create(model="samples/nope", messages=QUESTION)
    with pytest.raises(openai.BadRequestError):
        theirs.chat.completions.create(model="samples", messages=[{"role": "assistant", "content": "I"}])
    with pytest.raises(openai.BadRequestError):
        theirs.embeddings.create(model="samples", input=[[1, 2]])
    with pytest.raises(openai.BadRequestError, match="tokens"):
        theirs.embeddings.create(model="samples", input="word " * 600)
    with pytest.raises(openai.UnprocessableEntityError):
        theirs.chat.completions.create(model="samples", messages=[])


def test_error_after_the_stream_began_is_raised_by_their_client(theirs, server, monkeypatch):
    def broken(*_):
        raise RuntimeError("at /secret/place")

    monkeypatch.setattr(server.context.models, "open", broken)
    with pytest.raises(openai.APIError, match="Internal error") as caught:
        list(theirs.chat.completions.create(model="samples", messages=QUESTION, stream=True))
    assert "/secret" not in str(caught.value)
    got = httpx.post(f"{server.url}v1/chat/completions", json={"model": "samples", "messages": QUESTION}, timeout=30)
    assert got.status_code == 500
    assert "/secret" not in json.dumps(got.json())
