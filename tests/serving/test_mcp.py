"""The MCP server, by the protocol's own client: over stdio in a process of its own, and within this one."""

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from shutil import copy

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from ragkit import Assistant
from ragkit.indexing import Index
from ragkit.models.base import Delta
from ragkit.serving.background import BackgroundIndex
from ragkit.serving.mcp import make_server

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mcp")
    (folder / "docs").mkdir()
    for name in ("telescope-manual.pdf", "prices.csv"):
        copy(SAMPLES / name, folder / "docs")
    (folder / "docs" / "broken.pdf").write_bytes(b"%PDF-1.7\nbroken off")
    (folder / "notes").mkdir()
    (folder / "notes" / "long.txt").write_text(
        "The mooring costs nine crowns a night.\n\n" + "More words here. " * 2000
    )
    return folder


def command(*more):
    return [sys.executable, "-m", "ragkit.cli", "mcp", *map(str, more)]


def data(result):
    """What a tool returned: it is sent once, as text."""
    assert result.structured_content is None
    (content,) = result.content
    return json.loads(content.text)


def environment(home):
    return {**os.environ, "RAGKIT_INDEXES": str(home / "indexes"), "OMP_NUM_THREADS": "1"}


CALLS = {
    "found": ("search", {"query": "people in the dome when the telescope moves", "k": 3, "collection": "docs"}),
    "filtered": ("search", {"query": "price", "where": "media_type == 'text/csv'", "collection": "docs"}),
    "answer": (
        "ask",
        {"question": "How many people must be in the dome when the telescope moves?", "collection": "docs"},
    ),
    "listed": ("documents", {"collection": "docs", "query": "telescope manual"}),
    "paged": ("documents", {"collection": "docs", "limit": 2, "offset": 1}),
    "nulls": ("search", {"query": "dome", "collection": "docs", "k": None, "where": None}),
    "null list": ("documents", {"collection": "notes", "query": None, "limit": None, "offset": None}),
    "which": ("search", {"query": "x"}),
    "none": ("ask", {"question": "x", "collection": "secret"}),
    "filter": ("search", {"query": "x", "where": "media_type ==", "collection": "docs"}),
    "empty": ("search", {"query": "", "collection": "docs"}),
    "few": ("search", {"query": "x", "k": 0, "collection": "docs"}),
    "unknown": ("read", {"document": "nothing", "collection": "docs"}),
    "write": ("remove", {"document": "nothing"}),
}


@pytest.fixture(scope="module")
def told(home):
    """What a client is told over stdio: the tools, and the result of each call."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=command(home / "docs", home / "notes", "--model", "none")[1:],
        env=environment(home),
    )

    async def talk():
        async with Client(parameters) as client:
            results = {"tools": await client.list_tools()}
            for name, (tool, arguments) in CALLS.items():
                results[name] = await client.call_tool(tool, arguments)
            manual = data(results["listed"])["documents"][0]["document"]
            results["text"] = await client.call_tool("read", {"document": manual, "collection": "docs"})
            long = await client.call_tool("documents", {"collection": "notes"})
            identity = data(long)["documents"][0]["document"]
            results["window"] = await client.call_tool("read", {"document": identity, "collection": "notes"})
            results["rest"] = await client.call_tool(
                "read", {"document": identity, "collection": "notes", "start": 20_000, "end": 20_010}
            )
            return results

    return asyncio.run(talk())


def test_tools_only_read_and_say_what_they_take(told):
    tools = {tool.name: tool for tool in told["tools"].tools}
    assert set(tools) == {"search", "ask", "documents", "read"}
    for tool in tools.values():
        assert tool.annotations.read_only_hint
        assert tool.description
        assert "Returns JSON: {" in tool.description
        assert all("description" in field or "title" in field for field in tool.input_schema["properties"].values())
    assert told["write"].is_error


def test_search_gives_passages_with_their_places(told):
    passages = data(told["found"])["passages"]
    assert len(passages) == 3
    assert (passages[0]["name"], passages[0]["page"]) == ("telescope-manual.pdf", 1)
    text = data(told["text"])["text"]
    assert text[passages[0]["start"] : passages[0]["end"]] == passages[0]["text"]
    assert {passage["name"] for passage in data(told["filtered"])["passages"]} == {"prices.csv"}


def test_answer_comes_with_its_quotes(told):
    reply = data(told["answer"])
    assert not reply["abstained"]
    [quote] = reply["quotes"]
    assert "Two people" in quote["quote"]
    assert (quote["name"], quote["page"]) == ("telescope-manual.pdf", 1)
    text = data(told["text"])["text"]
    assert text[quote["start"] : quote["end"]] == quote["quote"]


def test_documents_are_listed_and_read_by_windows(told):
    assert data(told["listed"])["total"] == 1
    assert len(data(told["paged"])["documents"]) == 2
    window = data(told["window"])
    assert (window["start"], window["end"], len(window["text"])) == (0, 20_000, 20_000)
    assert window["characters"] > 30_000
    rest = data(told["rest"])
    assert (rest["start"], rest["end"], len(rest["text"])) == (20_000, 20_010, 10)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("which", "docs, notes"),
        ("none", "docs, notes"),
        ("filter", "Expected"),
        ("empty", "empty"),
        ("few", "greater than or equal to 1"),
        ("unknown", "`documents`"),
    ],
)
def test_error_is_a_tools_error_that_says_what_mends_it(told, name, said):
    assert told[name].is_error
    assert said in told[name].content[0].text


def test_nothing_tells_where_files_lie(told, home):
    for result in told.values():
        assert str(home) not in result.model_dump_json()


def test_null_stands_for_the_default(told):
    assert len(data(told["nulls"])["passages"]) == 8
    assert data(told["null list"])["total"] == 1


HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@contextmanager
def spoken(home, *words):
    """Run a server; gives its process and what sends it a request and returns the reply."""
    with subprocess.Popen(
        command(*words, "--model", "none"),
        env=environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        numbers = itertools.count(1)

        def send(**message):
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            server.stdin.flush()

        def call(method, **parameters):
            number = next(numbers)
            send(id=number, method=method, params=parameters)
            reply = json.loads(server.stdout.readline())
            assert reply["id"] == number
            return reply["result"]

        call("initialize", **HELLO)
        send(method="notifications/initialized")
        yield server, call


def test_nothing_but_the_protocol_is_on_stdout(home):
    with spoken(home, home / "docs") as (server, call):
        found = call("tools/call", name="search", arguments={"query": "dome"})
        server.stdin.close()
        rest, errors = server.stdout.read(), server.stderr.read()
    assert "dome" in found["content"][0]["text"]
    assert "structuredContent" not in found
    assert rest == b""
    # The file that can't be read is told of where a person may look.
    assert b"broken.pdf" in errors
    assert server.returncode == 0


def test_protocol_does_not_wait_for_the_index_and_the_index_not_for_a_client_that_left(tmp_path):
    (tmp_path / "docs").mkdir()
    large = tmp_path / "docs" / "large.txt"
    large.write_text("\n\n".join(f"Berth {number} costs {number * 7 % 90} crowns a night." for number in range(60_000)))
    (tmp_path / "docs" / "small.txt").write_text("The harbour office opens at eight.")
    with spoken(tmp_path, tmp_path / "docs") as (server, call):
        assert len(call("tools/list")["tools"]) == 4
        server.stdin.close()
        assert server.wait(60) == 0
    (index,) = (tmp_path / "indexes").iterdir()
    with Index.open(index) as opened:
        assert all("Berth" not in document.text for document in opened.each_document())
    # Nothing goes on in the background: the next server can write.
    large.unlink()
    with spoken(tmp_path, tmp_path / "docs") as (_, call):
        found = call("tools/call", name="search", arguments={"query": "When does the office open?"})
        assert "opens at eight" in found["content"][0]["text"]


@contextmanager
def over_http(home, *words, token=None):
    """Run a server over HTTP; gives its address."""
    variables = environment(home) | ({"RAGKIT_TOKEN": token} if token else {})
    with subprocess.Popen(
        command(home / "notes", "--model", "none", "--http", "--port", "0", *words),
        env=variables,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield re.search(r"http://\S+", server.stderr.readline()).group()
        finally:
            server.send_signal(signal.SIGINT)


def searched(url, token=None):
    async def talk():
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return await client.call_tool("search", {"query": "mooring"})

    return data(asyncio.run(talk()))["passages"][0]["text"]


def test_http_serves_this_machine_and_no_proxy(home):
    with over_http(home) as url:
        assert "nine crowns" in searched(url)
        for headers in ({"X-Forwarded-For": "10.1.2.3"}, {"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert httpx.post(url, json={}, headers=headers).status_code in (401, 403, 421)


def test_http_with_a_token_refuses_whoever_does_not_know_it(home):
    with over_http(home, token="the token") as url:
        assert "nine crowns" in searched(url, "the token")
        for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": "Bearer thé token".encode()}):
            assert httpx.post(url, json={}, headers=headers).status_code == 401


def test_http_on_other_addresses_requires_a_token(home):
    done = subprocess.run(
        command(home / "notes", "--http", "--host", "0.0.0.0"), env=environment(home), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "RAGKIT_TOKEN" in done.stderr


def test_no_index_is_an_error_before_the_protocol_begins(tmp_path):
    done = subprocess.run(
        command(), env=environment(tmp_path), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ragkit add" in done.stderr


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with Index.create(tmp_path_factory.mktemp("one") / "manuals") as opened:
        opened.add(SAMPLES / "telescope-manual.pdf")
        yield opened


def test_model_answers_with_a_span_and_nothing_changes(index, smollm2):
    server = make_server(
        {"manuals": BackgroundIndex(lambda: index)}, lambda index: Assistant(index, smollm2, "extract")
    )
    before = (index.fingerprint(), index.generation)

    async def talk():
        async with Client(server) as client:
            return await client.call_tool("ask", {"question": "How many people must be in the dome?"})

    reply = data(asyncio.run(talk()))
    assert reply["mode"] == "extract"
    (quote,) = reply["quotes"]
    assert reply["text"] == " ".join(quote["quote"].split())
    (document,) = index.each_document()
    assert document.text[quote["start"] : quote["end"]] == quote["quote"]
    assert (index.fingerprint(), index.generation) == before


class Endless:
    name = "endless"
    window = 4096

    def __init__(self):
        self.begun, self.ended = threading.Event(), threading.Event()

    def count_tokens(self, messages):
        return 10

    def stream(self, messages, options=None):
        try:
            for number in itertools.count():
                self.begun.set()
                yield Delta(f"word{number} ")
                time.sleep(0.01)
        finally:
            self.ended.set()


def test_question_that_is_taken_back_stops_the_model(index):
    model = Endless()
    server = make_server({"manuals": BackgroundIndex(lambda: index)}, lambda index: Assistant(index, model, "chat"))

    async def talk():
        async with Client(server) as client:
            asking = asyncio.create_task(client.call_tool("ask", {"question": "How many people must be in the dome?"}))
            while not model.begun.is_set():
                await asyncio.sleep(0.01)
            asking.cancel()
            while not model.ended.is_set():
                await asyncio.sleep(0.01)
            return await client.call_tool("search", {"query": "dome"})

    found = asyncio.run(asyncio.wait_for(talk(), 60))
    assert data(found)["passages"]
