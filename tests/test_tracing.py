"""OpenTelemetry: spans of real answers, recorded by the SDK."""

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections import Counter

import httpx
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ragkit import Index
from ragkit.agents import Tool, ToolRunner
from ragkit.agents.running import Call
from ragkit.answering import Assistant, TextDelta
from ragkit.errors import ModelUnavailableError
from ragkit.models import FallbackModel, ScriptedModel
from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running, until

QUESTION = "What is the focal length of the Meridian 40?"
REPLY = "The focal length of the Meridian 40 is 40 mm [1]. It is a lens [1]. It has a cap [1]."


class Open(SpanProcessor):
    """Counts the spans that have begun and not ended."""

    def __init__(self):
        self.spans = {}

    def on_start(self, span, parent_context=None):
        self.spans[span.get_span_context().span_id] = span.name

    def on_end(self, span):
        self.spans.pop(span.get_span_context().span_id)


@pytest.fixture(scope="module")
def sdk():
    """The SDK can be set up once in a process."""
    provider, exporter, unended, reader = TracerProvider(), InMemorySpanExporter(), Open(), InMemoryMetricReader()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(unended)
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    return exporter, unended, reader


@pytest.fixture
def spans(sdk):
    exporter, unended, _ = sdk
    exporter.clear()
    yield exporter.get_finished_spans
    gc.collect()
    assert not unended.spans
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.fixture(scope="module")
def index(sample_index):
    with Index.open(sample_index) as opened:
        yield opened


@pytest.fixture(scope="module")
def assistant(index):
    return Assistant(index, model=ScriptedModel(REPLY), mode="chat")


def parents(spans):
    names = {span.context.span_id: span.name for span in spans}
    return Counter((span.name, names.get(span.parent.span_id) if span.parent else None) for span in spans)


def named(spans, name):
    return next(span for span in spans if span.name == name)


def test_answer_is_a_tree_of_spans_without_texts(assistant, index, sdk, spans):
    answer = assistant.ask(QUESTION)
    found = spans()
    retrieval = f"retrieval {index.path.name}"
    assert parents(found) == {
        ("ragkit.ask", None): 1,
        (retrieval, "ragkit.ask"): 1,
        ("ragkit.rank", "ragkit.ask"): 1,
        ("chat scripted", "ragkit.ask"): 1,
        ("ragkit.check", "ragkit.ask"): 3,
    }
    root = named(found, "ragkit.ask")
    assert answer.trace.trace_id == f"{root.context.trace_id:032x}"
    assert "ragkit.abandoned" not in root.attributes
    assert root.attributes["gen_ai.operation.name"] == "invoke_workflow"
    chat = named(found, "chat scripted").attributes
    assert chat["gen_ai.request.model"] == "scripted"
    assert chat["gen_ai.usage.input_tokens"] == answer.trace.usage.prompt_tokens
    assert chat["gen_ai.usage.output_tokens"] == answer.trace.usage.completion_tokens
    assert chat["gen_ai.response.finish_reasons"] == ("stop",)
    hits = json.loads(named(found, retrieval).attributes["gen_ai.retrieval.documents"])
    assert [hit["score"] for hit in hits] == [hit.score for hit in answer.trace.hits]
    recorded = " ".join(span.to_json() for span in found)
    assert "Meridian" not in recorded
    points = [
        metric
        for resource in sdk[2].get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    assert {metric.name for metric in points} >= {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "ragkit.stage.duration",
    }


def test_texts_are_recorded_if_the_setting_asks_for_them(assistant, index, spans, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    assistant.ask(QUESTION)
    found = spans()
    assert named(found, f"retrieval {index.path.name}").attributes["gen_ai.retrieval.query.text"] == QUESTION
    chat = named(found, "chat scripted").attributes
    assert json.loads(chat["gen_ai.output.messages"])[0]["parts"][0]["content"] == REPLY
    assert QUESTION in json.loads(chat["gen_ai.input.messages"])[-1]["parts"][0]["content"]


def test_abandoned_stream_ends_its_spans_and_consumers_never_see_them_as_current(assistant, spans):
    with trace.get_tracer("test").start_as_current_span("mine") as mine:
        steps = assistant.stream(QUESTION)
        for event in steps:
            assert trace.get_current_span() is mine
            if isinstance(event, TextDelta):
                break
        # Not closed: dropping the generator is enough.
        del steps
        assert trace.get_current_span() is mine
    found = spans()
    assert named(found, "ragkit.ask").attributes["ragkit.abandoned"]
    assert named(found, "chat scripted").attributes["ragkit.abandoned"]
    tree = parents(found)
    assert tree["ragkit.ask", "mine"] == tree["chat scripted", "ragkit.ask"] == 1


def test_failed_model_marks_its_span_and_the_next_one_of_a_chain_has_the_same_parent(index, spans):
    def fail(_):
        raise ModelUnavailableError("The secret is 42.", "Wait.")

    chain = FallbackModel([ScriptedModel(fail), ScriptedModel(REPLY)])
    Assistant(index, model=chain, mode="chat").ask(QUESTION)
    chats = [span for span in spans() if span.name == "chat scripted"]
    assert [span.attributes.get("error.type") for span in chats] == ["ModelUnavailableError", None]
    assert parents(spans())["chat scripted", "ragkit.ask"] == 2
    assert "secret" not in " ".join(span.to_json() for span in spans())


def test_spans_of_several_threads_and_tasks_are_below_their_own_parents(assistant, spans):
    def ask(number):
        with trace.get_tracer("test").start_as_current_span(f"thread {number}"):
            for turn in range(3):
                for event in assistant.stream(QUESTION):
                    if turn == number % 3 and isinstance(event, TextDelta):
                        break

    async def tasks():
        async def one(number):
            with trace.get_tracer("test").start_as_current_span(f"task {number}"):
                await assistant.aask(QUESTION)

        await asyncio.gather(one(0), one(1))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(tasks())
    found = spans()
    by_id = {span.context.span_id: span for span in found}
    asks = Counter(by_id[span.parent.span_id].name for span in found if span.name == "ragkit.ask")
    assert asks == {**{f"thread {number}": 3 for number in range(4)}, "task 0": 1, "task 1": 1}
    for span in found:
        if span.parent is not None:
            assert by_id[span.parent.span_id].context.trace_id == span.context.trace_id
        if span.name.startswith(("chat", "retrieval", "ragkit.check", "ragkit.rank")):
            assert by_id[span.parent.span_id].name == "ragkit.ask"


def test_tools_and_adding_have_spans(tmp_path, spans):
    def double(number: int) -> int:
        """Return twice a number."""
        trace.get_current_span().add_event("called")
        return 2 * number

    tool = Tool.from_function(double)
    assert ToolRunner().run(tool, Call("double", {"number": 4})).value == 8
    (tmp_path / "a.txt").write_text("The kettle is blue.")
    with Index.create(tmp_path / "index") as made:
        made.add(tmp_path / "a.txt")
    called = named(spans(), "execute_tool double")
    assert called.attributes["gen_ai.tool.name"] == "double"
    assert [event.name for event in called.events] == ["called"]
    assert named(spans(), "ragkit.index.add").attributes["ragkit.index.added"] == 1


def test_server_continues_the_trace_of_a_request(sample_index, tmp_path, spans):
    indexes = tmp_path / "indexes"
    indexes.mkdir()
    (indexes / "samples").symlink_to(sample_index)
    options = ServeOptions(indexes=indexes, port=0, models=(ScriptedModel(REPLY),))
    trace_id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with running(options) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        body = {"question": QUESTION, "mode": "chat"}
        headers = {"traceparent": f"00-{trace_id}-{parent}-01"}
        with client.stream("POST", "/api/collections/samples/answers", json=body, headers=headers) as response:
            assert "event: finished" in response.read().decode()
        client.get("/api/collections/samples/search", params={"query": "Meridian", "q": "Meridian"})
        until(lambda: {"GET", "POST"} <= {span.name.split()[0] for span in spans()})
    request = named(spans(), "POST /api/collections/{collection}/answers")
    assert f"{request.parent.span_id:016x}" == parent
    below = [span for span in spans() if f"{span.context.trace_id:032x}" == trace_id]
    assert parents(below)["ragkit.ask", request.name] == 1
    assert request.attributes["http.response.status_code"] == 200
    # FastAPI's own spans have the query of the address.
    assert "Meridian" not in " ".join(span.to_json() for span in spans())
    assert parents(below)["chat scripted", "ragkit.ask"] == 1


def test_nothing_of_opentelemetry_is_imported():
    code = "import sys, ragkit.answering, ragkit.indexing, ragkit.models; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
