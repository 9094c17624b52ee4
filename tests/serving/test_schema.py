"""Generated requests to every route of the OpenAPI schema: whatever comes, the server does not fail."""

import shutil

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ragkit.serving.context import ServeOptions
from ragkit.serving.limits import Limits
from tests.serving.conftest import running
from tests.serving.slow import Endless
from tests.serving.test_rights import RULES

EXAMPLES = 20


@pytest.fixture(scope="module")
def web_schema(tmp_path_factory, sample_index):
    folder = tmp_path_factory.mktemp("schema")
    shutil.copytree(sample_index, folder / "samples")
    model = Endless(pause=0, words=3)
    options = ServeOptions(indexes=folder, port=0, models=(model,), limits=Limits(requests=10**6))
    with running(options) as server:
        yield schemathesis.openapi.from_url(f"{server.url}openapi.json")


ERROR = {"message", "hint", "type", "code", "param"}
PATHS = sorted((method, path) for method, path in RULES if path not in ("/", "/page/{path:path}", "/docs", "/docs.css"))


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_no_generated_request_makes_the_server_fail(web_schema, method, path):
    operation = web_schema[path.replace(":path", "")][method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(), st.booleans())
    def run(case, there):
        # Else nothing but the look-up would ever be reached.
        if there and "collection" in case.path_parameters:
            case.path_parameters["collection"] = "samples"
        if there and path.startswith("/v1") and isinstance(case.body, dict):
            case.body["model"] = "samples"
        got = case.call()
        assert got.status_code < 500, got.text
        if got.status_code >= 400:
            assert set(got.json()["error"]) == ERROR
        assert "internal_error" not in got.text

    run()
