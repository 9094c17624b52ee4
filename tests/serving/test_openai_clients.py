"""Agent frameworks with OpenAI's API as their model: LlamaIndex and openai-agents, where they are installed."""

import asyncio
import json

import openai
import pytest

from ragkit.models.scripted import ScriptedModel
from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running

WEATHER = "What is the weather in Oslo?"
BUS = "When does the last bus back leave?"
SAID = "It is 18 degrees."


def replies(messages):
    """Call for the weather once; answer from its result, else from the documents."""
    asked = messages[-1].content
    if "Choose a function" not in messages[0].content:
        return SAID if asked.startswith("Results:") else "The last bus back leaves at 23:10."
    wanted = "weather" in asked and "Calls made" not in asked
    return json.dumps({"name": "get_weather", "arguments": {"city": "Oslo"}} if wanted else {"name": "none"})


@pytest.fixture(scope="module")
def address(indexes):
    options = ServeOptions(indexes=indexes, port=0, models=(ScriptedModel(replies),))
    with running(options) as server:
        yield f"{server.url}v1"


@pytest.mark.parametrize("kind", ["OpenAIChatCompletionsModel", "OpenAIResponsesModel"])
def test_openai_agents_answer_from_documents_and_call_tools(address, kind):
    agents = pytest.importorskip("agents", reason="pip install openai-agents")
    agents.set_tracing_disabled(True)
    called = []

    @agents.function_tool
    def get_weather(city: str) -> str:
        """Return the current weather in a city."""
        called.append(city)
        return "18 degrees"

    async def run():
        async with openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
            model = getattr(agents, kind)(model="samples", openai_client=client)
            agent = agents.Agent(name="Guide", instructions="Be brief.", model=model, tools=[get_weather])
            streamed = agents.Runner.run_streamed(agent, WEATHER)
            items = [event.name async for event in streamed.stream_events() if event.type == "run_item_stream_event"]
            whole = await agents.Runner.run(agent, WEATHER)
            plain = await agents.Runner.run(agents.Agent(name="Guide", model=model), BUS)
            return items, streamed.final_output, whole.final_output, plain.final_output

    items, streamed, whole, plain = asyncio.run(run())
    assert items == ["tool_called", "tool_output", "message_output_created"]
    assert streamed == whole == SAID
    assert called == ["Oslo", "Oslo"]
    assert "[1]" in plain


def test_llama_index_chats_embeds_and_calls_tools(address):
    llms = pytest.importorskip("llama_index.llms.openai_like", reason="pip install llama-index-llms-openai-like")
    embeddings = pytest.importorskip("llama_index.embeddings.openai_like")
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.agent.workflow import FunctionAgent

    given = {"api_base": address, "api_key": "none", "max_retries": 0}
    llm = llms.OpenAILike(model="samples", is_chat_model=True, is_function_calling_model=True, **given)
    whole = llm.complete(BUS).text
    assert "[1]" in whole
    assert "".join(part.delta for part in llm.stream_complete(BUS)) == whole
    embedder = embeddings.OpenAILikeEmbedding(model_name="samples", **given)
    documents = [Document(text="The museum closes at 17:00 on Sundays."), Document(text="Dogs may enter the garden.")]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedder)
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("When does the museum close?")
    assert "17:00" in found.text
    called = []

    def get_weather(city: str) -> str:
        """Return the current weather in a city."""
        called.append(city)
        return "18 degrees"

    async def run():
        return await FunctionAgent(tools=[get_weather], llm=llm, system_prompt="Be brief.").run(WEATHER)

    assert str(asyncio.run(run())) == SAID
    assert called == ["Oslo"]
