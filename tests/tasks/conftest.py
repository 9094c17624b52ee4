"""One model for all tests of the room."""

import pytest

from ragkit.models import open_model


@pytest.fixture(scope="session")
def smollm2():
    # One thread: with several, a machine that is busy with other things waits at every layer.
    model = open_model("smollm2", threads=1)
    yield model
    model.close()
