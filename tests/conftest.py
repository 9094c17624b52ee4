"""Options for all tests, the order of their files, and the models that they share."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.hub_server import HubServer

# A busy machine is no reason to fail a test.
settings.register_profile("ragkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ragkit")

SITE = Path(__file__).parent / "logit_noise_site"
SAMPLES = Path(__file__).parents[1] / "docs" / "samples"


def pytest_addoption(parser):
    parser.addoption(
        "--logit-noise",
        type=float,
        default=0.0,
        metavar="DEVIATION",
        help="shift the logits of local models by about this much, as another CPU does; 0.1 is realistic",
    )
    parser.addoption("--logit-noise-seed", type=int, default=0, help="draw other shifts")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in for the Hugging Face Hub, and an empty cache folder."""
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("RAGKIT_CACHE", str(tmp_path / "cache"))
    yield server
    server.close()


def pytest_configure(config):
    # A console is as wide as it was when its module was imported, in whichever test that is.
    os.environ["COLUMNS"] = "200"
    _take_share_of_cores()
    deviation = config.getoption("--logit-noise")
    if deviation:
        from tests import logit_noise

        os.environ[logit_noise.DEVIATION] = str(deviation)
        os.environ[logit_noise.SEED] = str(config.getoption("--logit-noise-seed"))
        # Child processes shift theirs as well.
        paths = [str(SITE), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        logit_noise.install()


def pytest_collection_modifyitems(items):
    """Put the files with the most slow tests first, so that no worker is left alone with a long file at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def default_embedder():
    """The bundled embedding model, kept open: whatever else opens it shares its graph."""
    from ragkit.embedding import open_embedder

    return open_embedder(runtime="onnx")


@pytest.fixture(scope="session")
def sample_index(tmp_path_factory):
    """The folder of an index of the sample documents, to be copied."""
    from ragkit import Index

    path = tmp_path_factory.mktemp("samples") / "samples"
    with Index.create(path) as index:
        assert index.add(SAMPLES).complete
    return path


@pytest.fixture(scope="session")
def smollm2():
    """The small model, one for all tests of a worker."""
    from ragkit.models import open_model

    # One thread: with several, a machine that is busy with other things waits at every layer.
    model = open_model("smollm2", threads=1)
    yield model
    model.close()


def _take_share_of_cores():
    """Pin a worker of pytest-xdist, and the children it starts, to its own cores.

    Without this, the models of two workers use the same cores, and llama.cpp becomes ten times slower.
    Numerical libraries count the cores when they are imported, so this file imports none before that.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker or not hasattr(os, "sched_setaffinity"):
        return
    number, count = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    if share := sorted(os.sched_getaffinity(0))[number::count]:
        os.sched_setaffinity(0, share)
