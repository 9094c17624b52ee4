"""One index of the sample documents for all tests of the room."""

from pathlib import Path

import pytest

from ragkit import Index

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    with Index.open(tmp_path_factory.mktemp("answering") / "index") as index:
        assert index.add(SAMPLES).complete
        yield index
