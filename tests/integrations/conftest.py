"""Real examples, ragkit's pool of them, and what LangChain needs: rows and ragkit's embeddings."""

import pytest

from ragkit.examples import ExamplePool
from ragkit.integrations import RagkitEmbeddings
from tests.examples.conftest import EXAMPLES

ROWS = [{"input": example.input, "output": example.output, "lang": "en"} for example in EXAMPLES]


@pytest.fixture(scope="session")
def embeddings():
    return RagkitEmbeddings()


@pytest.fixture
def pool(tmp_path, embeddings):
    with ExamplePool.create(tmp_path / "pool", embedder=embeddings.embedder) as opened:
        opened.add(EXAMPLES)
        yield opened
