"""One index of the sample documents for all tests of the room."""

from pathlib import Path

import pytest

from ragkit import Index
from ragkit.models import open_model

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    with Index.create(tmp_path_factory.mktemp("answering") / "index") as index:
        assert index.add(SAMPLES).complete
        yield index


@pytest.fixture(scope="session")
def smollm2():
    return open_model("smollm2", threads=1)
