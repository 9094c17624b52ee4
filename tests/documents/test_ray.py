"""Files that a Ray cluster reads and embeds: the index is that of one machine."""

import os

import pytest

from ragkit.errors import ProcessStartError
from ragkit.indexing import Index

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    """A cluster of one core on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20)
    yield "auto"
    ray.shutdown()


def test_index_is_that_of_one_machine(cluster, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for number in range(12):
        (files / f"note-{number:02}.txt").write_text(f"Note {number}. " + "The gate opens at noon. " * number)
    (files / "table.csv").write_text("text\n" + "\n".join(f"Shelf {number} is full." for number in range(30)))
    (files / "broken.docx").write_bytes(b"no zip file")
    found = []
    for address in (None, cluster):
        with Index.open(tmp_path / f"index-{address}", create=True) as index:
            report = index.sync(files, ray=address)
            assert index.sync(files, ray=address).embedded == 0
            chunks = list(index.each_chunk())
            numbers = (report.added, report.chunks, report.embedded, report.characters, report.issues)
            found.append((chunks, index.vectors(chunks).tobytes(), numbers))
    assert found[0] == found[1]


def test_worker_that_ends_and_unknown_cluster_are_reported(cluster, tmp_path):
    from ragkit.documents import LoadOptions, discover
    from ragkit.documents.ray_cluster import RayCluster

    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(f'{{"text": "Row {number} of many."}}' for number in range(2000)))
    (file,) = discover([rows])
    with RayCluster(cluster) as connected:
        (loader,) = connected.loaders(LoadOptions(), 1)
        items = loader.load(file)
        first = next(items)
        connected.stop([loader._worker])
        last = list(items)[-1]
        assert first.origin == last.origin
        assert (last.kind, last.retry) == ("refused", True)
        assert len(list(loader.load(file))) == 2000
        loader.close()
    ray.shutdown()
    with pytest.raises(ProcessStartError, match=r"The Ray cluster 127\.0\.0\.1:1 can't be reached"):
        RayCluster("127.0.0.1:1")
