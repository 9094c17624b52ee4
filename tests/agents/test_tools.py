"""Tools from functions, files, OpenAPI documents and MCP servers, and how calls of them end."""

import json
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ragkit.agents import (
    Call,
    RunLimits,
    Tool,
    ToolBox,
    ToolRunner,
    tools_from_file,
    tools_from_mcp,
    tools_from_openapi,
)
from ragkit.errors import ToolError
from tests.agents.toolkit import EMAIL, FILE, FORECAST


@pytest.fixture
def runner():
    with_limits = ToolRunner(RunLimits(seconds=20))
    yield with_limits
    with_limits.close()


def test_a_function_becomes_a_schema_and_its_result_plain_values(runner):
    @dataclass
    class Place:
        name: str
        floor: int = 0

    def find(place: Place, tags: list[str]) -> Place:
        """Find a place.

        Args:
            place: where to look,
                on any floor
            tags: words
        """
        assert isinstance(place, Place)
        return place

    tool = Tool.from_function(find)
    assert tool.description == "Find a place."
    assert tool.parameters["properties"]["place"]["properties"]["floor"]["type"] == "integer"
    assert tool.parameters["properties"]["place"]["description"] == "where to look, on any floor"
    assert tool.parameters["required"] == ["place", "tags"]
    outcome = runner.run(tool, Call("find", {"place": {"name": "hall"}, "tags": []}))
    assert outcome.value == {"name": "hall", "floor": 0}


def test_functions_without_types_or_names_are_refused():
    with pytest.raises(ToolError, match="city"):
        Tool.from_function(lambda city: city, name="f")
    with pytest.raises(ToolError, match="letters"):
        Tool("two words", "", {"type": "object"}, print)
    with pytest.raises(ToolError, match="without defining"):
        Tool("f", "", {"type": "object", "required": ["x"]}, print)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"city": 3},
        {"city": "Oslo", "days": "two"},
        {"city": "Oslo", "unit": "K"},
        {"city": "Oslo", "planet": "Mars"},
    ],
)
def test_a_call_that_does_not_validate_does_not_run(runner, arguments):
    outcome = runner.run(FORECAST, Call("forecast", arguments))
    assert outcome.kind == "invalid_call"


def test_a_tool_that_writes_runs_only_after_a_confirmation(tmp_path):
    file = tmp_path / "tools.py"
    file.write_text(FILE)
    target = tmp_path / "target"
    tool = next(tool for tool in tools_from_file(file) if tool.name == "delete")
    call = Call("delete", {"path": str(target)})
    asked = []
    assert ToolRunner().run(tool, call).kind == "refused"
    assert ToolRunner(confirm=lambda *about: asked.append(about)).run(tool, call).kind == "refused"
    assert asked == [(tool, call)]
    assert not target.exists()
    runner = ToolRunner(confirm=lambda tool, call: True)
    assert runner.run(tool, call).value == "deleted"
    assert target.exists()
    runner.close()


def test_each_misbehaving_tool_ends_with_its_outcome(tmp_path):
    file = tmp_path / "tools.py"
    file.write_text(FILE)
    tools = ToolBox(tools_from_file(file))
    assert [tool.name for tool in tools][:2] == ["area", "convert"]
    assert "_helper" not in tools
    runner = ToolRunner(RunLimits(seconds=3))
    cases = {
        "hang": ("timeout", {"seconds": 1}),
        "flood": ("too_large", {"size": 1}),
        "fail": ("error", {"name": "Zoë"}),
        "leave": ("error", {"name": "x"}),
        "lie": ("invalid_result", {"name": "x"}),
        "area": ("ok", {"base": 3, "height": 4}),
        "spin": ("timeout", {"count": 1}),
    }
    outcomes = {name: runner.run(tools[name], Call(name, arguments)) for name, (_, arguments) in cases.items()}
    runner.close()
    assert {name: outcome.kind for name, outcome in outcomes.items()} == {
        name: kind for name, (kind, _) in cases.items()
    }
    assert outcomes["area"].value == 6
    assert "10,000,002" in outcomes["flood"].text
    assert "Zoë" in outcomes["fail"].text


def test_a_function_of_this_process_that_hangs_ends_at_the_limit():
    released = threading.Event()

    def wait(name: str) -> str:
        """Wait."""
        released.wait(60)
        return name

    outcome = ToolRunner(RunLimits(seconds=0.2)).run(Tool.from_function(wait), Call("wait", {"name": "x"}))
    released.set()
    assert outcome.kind == "timeout"
    big = Tool("big", "", {"type": "object"}, lambda arguments: "x" * 200)
    assert ToolRunner(RunLimits(bytes=100)).run(big, Call("big", {})).kind == "too_large"


def test_a_file_that_can_not_be_imported_says_why(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import no_such_module\n")
    with pytest.raises(ToolError, match="no_such_module"):
        tools_from_file(file)
    file.write_text("def f(x: int) -> int:\n    '''Doc.'''\n    return x\n")
    with pytest.raises(ToolError, match="Functions: f"):
        tools_from_file(file, ("g",))


API = {
    "openapi": "3.0.3",
    "servers": [{"url": "/v1"}],
    "paths": {
        "/pets/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {
                "operationId": "getPet",
                "summary": "Get a pet.",
                "parameters": [
                    {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}
                ],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}
                },
            },
            "put": {
                "operationId": "update.pet",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}},
                "responses": {"204": {"description": "Done."}},
            },
        }
    },
    "components": {
        "parameters": {"Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "age": {"type": "integer", "nullable": True, "minimum": 0, "exclusiveMinimum": True},
                    "parent": {"$ref": "#/components/schemas/Pet"},
                    "friends": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}},
                },
            }
        },
    },
}


class PetServer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.paths.append(self.path)
        if self.path.endswith("openapi.json"):
            body = API
        elif "gone" in self.path:
            return self.send_error(404, "no such pet")
        elif "odd" in self.path:
            body = {"title": "renamed field"}
        else:
            body = {"name": "Rex", "age": None}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        return None

    def do_PUT(self):
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def pets():
    server = ThreadingHTTPServer(("127.0.0.1", 0), PetServer)
    server.paths, server.bodies = [], []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_openapi_operations_with_cycles_become_tools(pets, runner):
    url = f"http://127.0.0.1:{pets.server_port}/openapi.json"
    get, put = tools_from_openapi(url)
    assert (get.name, get.writes, put.name, put.writes) == ("getPet", False, "update.pet", True)
    assert get.parameters["required"] == ["id"]
    assert put.parameters["properties"]["age"] == {"type": ["integer", "null"], "exclusiveMinimum": 0}
    assert runner.run(get, Call("getPet", {"id": "../x?y", "tag": ["a", "b"]})).value == {"name": "Rex", "age": None}
    assert pets.paths[-1] == "/v1/pets/..%2Fx%3Fy?tag=a&tag=b"
    assert "404" in runner.run(get, Call("getPet", {"id": "gone"})).text
    changed = runner.run(get, Call("getPet", {"id": "odd"}))
    assert changed.kind == "invalid_result"
    assert "'name' is a required property" in changed.text
    confirmed = ToolRunner(confirm=lambda tool, call: True)
    assert confirmed.run(put, Call("update.pet", {"id": "1", "name": "Rex", "friends": [{"name": "Tom"}]})).ok
    assert pets.bodies == [{"name": "Rex", "friends": [{"name": "Tom"}]}]


def test_what_is_no_openapi_document_says_so(tmp_path):
    file = tmp_path / "api.yaml"
    file.write_text("swagger: '2.0'\npaths: {}\n")
    with pytest.raises(ToolError, match="OpenAPI 3"):
        tools_from_openapi(file)
    with pytest.raises(ToolError, match="no address"):
        tools_from_openapi({"openapi": "3.1.0", "paths": {}})
    with pytest.raises(ToolError, match="getDog"):
        tools_from_openapi(API, base_url="http://127.0.0.1", operations=("getDog",))


MCP_SERVER = '''
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

server = MCPServer("test")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def double(number: int) -> int:
    """Double a number."""
    if number < 0:
        raise ToolError("negative")
    return number * 2


@server.tool()
def store(text: str) -> str:
    """Store a text."""
    return text


server.run("stdio")
'''


def test_tools_of_an_mcp_server_run_until_it_is_closed(tmp_path, runner):
    file = tmp_path / "server.py"
    file.write_text(MCP_SERVER)
    with tools_from_mcp(f"{sys.executable} {file}") as server:
        double, store = server.tools
        assert (double.writes, store.writes) == (False, True)
        assert runner.run(double, Call("double", {"number": 21})).value == {"result": 42}
        failed = runner.run(double, Call("double", {"number": -1}))
        assert failed.kind == "error"
        assert "negative" in failed.text
    assert runner.run(double, Call("double", {"number": 1})).kind == "error"


def test_an_mcp_server_that_does_not_start_is_a_clear_error():
    with pytest.raises(ToolError, match="can't be used"):
        tools_from_mcp("no-such-command-anywhere --flag")


def test_a_large_collection_is_searched(default_embedder):
    def tool(name, about):
        return Tool(name, about, {"type": "object"}, print)

    topics = ["tides", "stock prices", "recipes", "train times", "films", "songs", "translations", "taxes"]
    box = ToolBox(
        [FORECAST, EMAIL, *(tool(f"find_{t.split()[0]}", f"Look up {t}.") for t in topics)], embedder=default_embedder
    )
    assert box.search("Will it rain in Oslo tomorrow?", 2)[0].name == "forecast"
    assert [tool.name for tool in box.search("When does the train to Bergen leave?", 1)] == ["find_train"]
    assert "forecast" not in [tool.name for tool in box.search("Will it rain in Oslo?", 3, without=["forecast"])]
    with pytest.raises(ToolError, match="find_songs"):
        box["find_nothing"]
    box.close()
