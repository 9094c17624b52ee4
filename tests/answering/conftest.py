"""One index of the sample documents for all tests of this folder."""

import shutil

import pytest

from ragkit import Index


@pytest.fixture(scope="session")
def samples(sample_index, tmp_path_factory):
    folder = shutil.copytree(sample_index, tmp_path_factory.mktemp("answering") / "index")
    with Index.open(folder) as index:
        yield index
