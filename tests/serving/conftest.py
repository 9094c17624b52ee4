"""Real servers on free ports, in threads of the test's own process."""

import shutil
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from ragkit.serving.context import ServeOptions
from ragkit.serving.running import Server


def until(condition, seconds=60):
    """Wait until something has come to pass."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


@contextmanager
def running(options: ServeOptions):
    """Run a server and yield it; it has ended when this ends."""
    server = Server(options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), 30)
        assert thread.is_alive()
        yield server
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def indexes(tmp_path_factory, sample_index):
    """A folder of indexes with one of the sample documents, ``samples``."""
    folder = tmp_path_factory.mktemp("indexes")
    shutil.copytree(sample_index, folder / "samples")
    return folder


@pytest.fixture(scope="module")
def server(indexes, smollm2):
    """A server that is open to all, with the small model."""
    with running(ServeOptions(indexes=indexes, port=0, models=(smollm2,))) as made:
        yield made


@pytest.fixture(scope="module")
def client(server):
    """A client of that server."""
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made
