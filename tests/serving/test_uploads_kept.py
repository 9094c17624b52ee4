"""Uploads on a disk that is full, and uploads of a server that is killed: what was accepted is taken in."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from ragkit.errors import IndexWriteError
from ragkit.serving.context import ServeOptions
from ragkit.serving.database import Database
from ragkit.serving.failures import StorageFullError
from tests.serving.conftest import running, until

DOCS = "/api/collections/samples/documents"
KILLED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from ragkit.serving.context import ServeOptions
    from ragkit.serving.intake import Intake
    from ragkit.serving.running import Server
    import threading

    # The job has begun and has taken in nothing when the server is killed.
    Intake.take = lambda *_: threading.Event().wait()
    server = Server(ServeOptions(indexes=Path(sys.argv[1]), port=0, models=("none",)))
    server.run(lambda: print(server.url, flush=True))
    """
)


@pytest.fixture
def own(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "samples")
    return tmp_path


def files(*named):
    return [("files", (name, content)) for name, content in named]


def test_accepted_files_survive_the_kill_of_the_server(own):
    args = [sys.executable, "-c", KILLED, str(own)]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            url = process.stdout.readline().strip()
            sent = httpx.post(
                f"{url}{DOCS[1:]}", files=files(("a.txt", b"The ferry costs 4 crowns."), ("b.txt", b"")), timeout=60
            )
            assert sent.status_code == 202
        finally:
            os.kill(process.pid, signal.SIGKILL)
    with (
        running(ServeOptions(indexes=own, port=0, models=("none",))) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        until(lambda: client.get(DOCS, params={"query": "a.txt"}).json()["total"] == 1)
        until(lambda: not list((own / ".serving" / "uploads" / ".accepted").iterdir()))
    kept = [path.read_bytes() for path in (own / ".serving" / "uploads" / "samples").iterdir()]
    assert kept == [b"The ferry costs 4 crowns."]


def test_full_disk_refuses_a_file_and_takes_the_others(own, monkeypatch):
    opened = Path.open

    def on_a_full_disk(self, mode="r", *args, **more):
        # The kernel itself refuses to write there.
        full = mode == "xb" and self.suffix == ".md"
        return opened(Path("/dev/full"), "wb") if full else opened(self, mode, *args, **more)

    monkeypatch.setattr(Path, "open", on_a_full_disk)
    with (
        running(ServeOptions(indexes=own, port=0, models=("none",))) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        sent = client.post(DOCS, files=files(("big.md", b"Big. " * 50_000), ("small.txt", b"The ferry costs 4.")))
        assert sent.status_code == 202
        job = f"/api/jobs/{sent.json()['job']}"
        until(lambda: client.get(job).json()["state"] == "done")
        told = {file["name"]: file for file in client.get(job).json()["files"]}
    assert told["small.txt"]["status"] == "added"
    assert (told["big.md"]["status"], told["big.md"]["reason"]) == ("refused", "The server's disk is full.")


def test_full_disk_of_the_index_refuses_the_files_in_words(own, monkeypatch):
    def full(*_):
        raise IndexWriteError("x", "y") from OSError(28, "No space left on device")

    with (
        running(ServeOptions(indexes=own, port=0, models=("none",))) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        monkeypatch.setattr("ragkit.indexing.Index.add_documents", full)
        job = client.post(DOCS, files=files(("a.txt", b"One."))).json()["job"]
        until(lambda: client.get(f"/api/jobs/{job}").json()["state"] == "done")
        (file,) = client.get(f"/api/jobs/{job}").json()["files"]
        assert file["reason"] == "The server's disk is full."


def test_full_disk_is_the_error_and_not_the_rollback(tmp_path):
    database = Database(tmp_path / "x.sqlite", "CREATE TABLE t (a TEXT)")
    (pages,) = database.rows("PRAGMA page_count")[0]
    database.rows(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StorageFullError) as caught, database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))
    assert caught.value.status == 507
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    with database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES ('y')")
    assert database.rows("SELECT a FROM t") == [("y",)]
    database.close()
