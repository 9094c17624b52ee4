"""One index of the sample documents for all tests of the room."""

import shutil
from pathlib import Path

import pytest

from ragkit import Index

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(scope="session")
def samples(sample_index, tmp_path_factory):
    folder = shutil.copytree(sample_index, tmp_path_factory.mktemp("answering") / "index")
    with Index.open(folder) as index:
        yield index
