"""SIGKILL at 200 random points of add, remove and compact: what was acknowledged stays, and nothing is there twice."""

import random
import subprocess
import sys

import numpy as np
import pytest

from ragkit.indexing import Index
from tests.indexing.hashing import HashingEmbedder
from tests.indexing.kill_server import document

KILLS = 200


@pytest.fixture(scope="module")
def server():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.indexing.kill_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.stdin.close()
    process.wait()


def states(log):
    """Return what the documents may be after the log: as acknowledged, or with the change that was cut short."""
    acknowledged, begun = {}, {}
    for line in log.read_text().splitlines():
        stage, what, version, *names = line.split()
        begun = dict(acknowledged)
        for name in names:
            if what == "add":
                begun[name] = int(version)
            elif what == "remove":
                begun.pop(name, None)
        if stage == "done":
            acknowledged = begun
    return acknowledged, begun


def found(index):
    return {info.source: info.metadata["version"] for info in index.documents()}


@pytest.mark.slow
def test_kill_at_random_points(server, tmp_path):
    choose = random.Random(7)
    embedder = HashingEmbedder()
    unfinished = 0
    path, log = tmp_path / "index0", tmp_path / "index0.log"
    for number in range(KILLS):
        if number % 20 == 0:
            path, log = tmp_path / f"index{number}", tmp_path / f"index{number}.log"
        server.stdin.write(f"{path} {number} {choose.randint(1_000, 120_000)}\n")
        server.stdin.flush()
        assert server.stdout.readline() == "killed\n"
        if not log.exists():
            continue
        acknowledged, begun = states(log)
        unfinished += acknowledged != begun
        with Index.open(path, embedder=embedder, create=True) as index:
            state = found(index)
            assert state in (acknowledged, begun), f"after kill {number}"
            check_searches(index, state, embedder)
            # A log that goes on from what is there, as a person would after looking.
            log.write_text("".join(f"done add {version} {name}\n" for name, version in state.items()))
            if number % 10 == 9:
                index.add(*[document(name, version) for name, version in begun.items()])
                assert found(index) == state | begun
                again = index.add(*[document(name, version) for name, version in begun.items()])
                assert (again.added, again.replaced, again.unchanged) == (0, 0, len(begun))
                assert index.verify().damage == ()
                log.write_text("".join(f"done add {version} {name}\n" for name, version in found(index).items()))
    assert unfinished > KILLS // 10, "the kills fell between the changes, not into them"


def check_searches(index, state, embedder):
    """Each searcher finds each document's chunks once, and nothing that is gone."""
    total = sum(info.chunks for info in index.documents())
    query = embedder.embed(["oak elm version"], "query")[0]
    for keys in (index.search_vectors(query, 10**9)[0], index.search_keywords("version oak elm ash fir yew", 10**9)[0]):
        assert len(np.unique(keys)) == len(keys)
        sources = [info.source for _, info in index.chunks(keys)]
        assert set(sources) == set(state)
        assert len(keys) == total
    for chunk, info in index.chunks(index.search_vectors(query, 10**9)[0]):
        assert index.document(info.id).text[chunk.start : chunk.end] == chunk.text
