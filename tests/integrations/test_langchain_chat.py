"""ragkit's models and search in LangChain: its own standard tests, and chains with a real model."""

import asyncio
import shutil

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from ragkit import Index
from ragkit.errors import PromptError, SettingsError
from ragkit.integrations import RagkitChat, RagkitRetriever
from ragkit.models.langchain import LangChainModel
from ragkit.models.scripted import ScriptedModel

standard_unit = pytest.importorskip("langchain_tests.unit_tests", reason="pip install langchain-tests")
standard_integration = pytest.importorskip("langchain_tests.integration_tests", reason="pip install langchain-tests")


@pytest.fixture(scope="module")
def samples(sample_index, tmp_path_factory):
    with Index.open(shutil.copytree(sample_index, tmp_path_factory.mktemp("langchain") / "index")) as index:
        yield index


class TestChatUnit(standard_unit.ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _small(self, smollm2):
        self.small = smollm2

    @property
    def chat_model_class(self):
        return RagkitChat

    @property
    def chat_model_params(self):
        return {"model": self.small}

    @property
    def has_tool_calling(self):
        return False

    @property
    def has_structured_output(self):
        return False

    @property
    def standard_chat_model_params(self):
        return {"temperature": 0, "max_tokens": 12}


class TestChatIntegration(standard_integration.ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _small(self, smollm2):
        self.small = smollm2

    @property
    def chat_model_class(self):
        return RagkitChat

    @property
    def chat_model_params(self):
        return {"model": self.small, "max_tokens": 12}

    @property
    def has_tool_calling(self):
        return False

    @property
    def has_structured_output(self):
        return False

    @property
    def standard_chat_model_params(self):
        return {}


class TestRetriever(standard_integration.RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _index(self, samples):
        self.index = samples

    @property
    def retriever_constructor(self):
        return RagkitRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": self.index}

    @property
    def retriever_query_example(self):
        return "When does the last bus leave?"


def test_documents_say_where_they_stand(samples):
    (found,) = RagkitRetriever(retriever=samples, k=1).invoke("What does error E27 mean?")
    assert found.metadata["page"] == 4
    text = samples.document(found.metadata["document_id"]).text
    assert text[found.metadata["start"] : found.metadata["end"]] == found.page_content
    (chosen,) = RagkitRetriever(retriever=samples, k=1, where="media_type == 'text/html'").invoke("error E27")
    assert chosen.metadata["source"].endswith("faq.html")


def test_retriever_of_something_else_is_refused():
    with pytest.raises(SettingsError, match="neither a Retriever nor an Index"):
        RagkitRetriever(retriever="index")


def test_chain_of_search_prompt_and_model_streams(samples, smollm2):
    prompt = ChatPromptTemplate.from_messages([("human", "{context}\n\nAnswer in one word. {question}")])
    chat = RagkitChat(model=smollm2, max_tokens=8)
    (found,) = RagkitRetriever(retriever=samples, k=1).invoke("Who founded the observatory?")
    chain = prompt | chat | StrOutputParser()
    asked = {"context": found.page_content, "question": "Who founded the observatory?"}
    pieces = list(chain.stream(asked))
    assert len(pieces) > 1
    assert "".join(pieces) == chain.invoke(asked)
    assert asyncio.run(chain.ainvoke(asked)) == chain.invoke(asked)


def test_reply_tells_tokens_and_why_it_ended(smollm2):
    chat = RagkitChat(model=smollm2, max_tokens=3)
    messages = [SystemMessage("Be brief."), HumanMessage("Count to ten."), AIMessage("One"), HumanMessage("Go on.")]
    reply = chat.invoke(messages)
    assert reply.response_metadata["finish_reason"] == "length"
    assert reply.usage_metadata["output_tokens"] == 3
    assert reply.usage_metadata["input_tokens"] == chat.get_num_tokens_from_messages(messages)


def test_stop_and_schema_hold(smollm2):
    said = RagkitChat(model=ScriptedModel("one two three")).invoke("count", stop=[" three"]).content
    assert said == "one two"
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    held = RagkitChat(model=smollm2, max_tokens=40).bind(json_schema=schema).invoke("Give n = 3 as JSON.")
    assert held.content.lstrip().startswith("{")


def test_what_it_does_not_take_is_told():
    chat = RagkitChat(model=ScriptedModel("x"))
    with pytest.raises(SettingsError, match="takes no 'top_p'"):
        chat.invoke("hello", top_p=0.5)
    with pytest.raises(PromptError, match="ToolMessage"):
        chat.invoke([ToolMessage("x", tool_call_id="1")])
    with pytest.raises(PromptError, match="something else than text"):
        chat.invoke([HumanMessage([{"type": "image_url", "image_url": {"url": "x"}}])])


def test_there_and_back_is_the_same_model():
    back = LangChainModel(RagkitChat(model=ScriptedModel("Fifty-two steps.")))
    assert "".join(delta.text for delta in back.stream([*_messages()])) == "Fifty-two steps."


def _messages():
    from ragkit.records import Message

    return [Message("user", "How many steps?")]
