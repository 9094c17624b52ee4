"""``ragkit serve`` in processes of its own, and ``ragkit token``."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from ragkit import Index

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@contextmanager
def serving(cwd, *words, env=None):
    """Run ``ragkit serve`` and yield the process, its address and what it printed up to there."""
    command = [sys.executable, "-u", "-m", "ragkit.cli", "serve", "--port", "0", *map(str, words)]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "COLUMNS": "300", **(env or {})}
    process = subprocess.Popen(
        command, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        found = re.search(r"http://\S+:\d+/", "".join(lines))
        assert found, "".join(lines)
        url = found.group().replace("0.0.0.0", "127.0.0.1")
        until = time.monotonic() + 20
        while httpx.get(f"{url}health").status_code != 200:
            assert time.monotonic() < until
        yield process, url, "".join(lines)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "index"
    with Index.create(path) as made:
        made.add(SAMPLES / "faq.html")
    return path


@pytest.fixture
def folder(tmp_path, index):
    """A folder with an index called notes."""
    shutil.copytree(index, tmp_path / "indexes" / "notes")
    return tmp_path


def test_serve_answers_and_ends_cleanly_with_control_c(folder):
    with serving(folder, "--model", "none") as (process, url, said):
        assert "collections: notes" in said
        assert "every user of this machine has the owner's permissions" in said
        with httpx.stream(
            "POST", f"{url}api/collections/notes/answers", json={"question": "When does the bus leave?"}, timeout=60
        ) as answer:
            assert "event: finished" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(15) == 0
        assert "Stopped" in rest
        assert "Traceback" not in rest


def test_serve_makes_the_index_of_a_folder_first(tmp_path):
    docs = tmp_path / "papers"
    docs.mkdir()
    shutil.copy(SAMPLES / "faq.html", docs)
    with serving(tmp_path, docs, "--model", "none") as (_, url, _):
        (found,) = httpx.get(f"{url}api/collections").json()["collections"]
        assert found["name"].startswith("papers-")
        assert found["documents"] == 1


def test_serve_serves_an_index_that_lies_elsewhere(folder, index):
    elsewhere = folder / "other" / "far"
    shutil.copytree(index, elsewhere)
    with serving(folder, elsewhere, "--model", "none") as (_, url, said):
        assert "collections: far, notes" in said
        assert set(httpx.get(f"{url}api/me").json()["rights"]) == {"far", "notes"}


def test_serve_without_any_collection_starts_and_tells_how_to_add(tmp_path):
    with serving(tmp_path, "--model", "none") as (_, url, said):
        assert "ragkit add" in said
        assert httpx.get(f"{url}api/collections").json() == {"collections": []}


def test_serve_on_all_addresses_makes_a_token_and_shows_it_once(folder):
    with serving(folder, "--model", "none", "--host", "0.0.0.0") as (_, url, said):
        token = re.search(r"rk_\S+", said).group()
        assert httpx.get(f"{url}api/me").status_code == 401
        me = httpx.get(f"{url}api/me", headers={"authorization": f"Bearer {token}"}).json()
        assert me["owner"]
    with serving(folder, "--model", "none", "--host", "0.0.0.0") as (_, url, said):
        assert "rk_" not in said
        assert httpx.get(f"{url}api/me", headers={"authorization": f"Bearer {token}"}).json()["owner"]


def test_serve_takes_the_token_of_the_environment(folder):
    with serving(folder, "--model", "none", env={"RAGKIT_TOKEN": "tulip"}) as (_, url, said):
        assert "tulip" not in said
        assert httpx.get(f"{url}api/me").status_code == 401
        assert httpx.get(f"{url}api/me", headers={"authorization": "Bearer tulip"}).json()["owner"]


def test_serve_on_a_port_in_use_says_so(here, folder):
    with serving(folder, "--model", "none") as (_, url, _):
        port = url.rstrip("/").rsplit(":", 1)[1]
        failed = here("serve", "--model", "none", "--port", port, cwd=folder, check=2)
        assert "Failed to listen on" in failed.stderr
        assert "--port" in failed.stderr


@pytest.mark.parametrize("words", [("--mode", "guess"), ("nowhere",), ("--model", "none", "--model", "none")])
def test_serve_with_wrong_words_says_what_is_right(here, folder, words):
    failed = here("serve", "--port", "0", *words, cwd=folder, check=1 if words == ("nowhere",) else 2)
    assert "Error:" in failed.stderr


def test_tokens_are_made_listed_changed_and_removed(here, folder):
    token = here("token", "add", "anna", "--read", "notes", "--write", "other", cwd=folder).stdout.strip()
    assert re.fullmatch(r"rk_[\w-]{43}", token)
    here("token", "add", "root", "--owner", cwd=folder)
    assert "anna: read notes, write other" in here("token", "list", cwd=folder).stdout
    people = json.loads(here("token", "list", "--json", cwd=folder).stdout)["people"]
    assert people[1] == {"name": "root", "owner": True, "rights": {}}
    here("token", "set", "anna", "--admin", "notes", "--none", "other", cwd=folder)
    assert "anna: admin notes\n" in here("token", "list", cwd=folder).stdout
    here("token", "remove", "anna", cwd=folder)
    assert "anna" not in here("token", "list", cwd=folder).stdout


@pytest.mark.parametrize(
    "words",
    [("add", "anna"), ("add", ""), ("add", "x" * 65), ("add", "b", "--read", "n", "--write", "n"), ("remove", "b")],
)
def test_wrong_tokens_are_refused_with_a_hint(here, folder, words):
    here("token", "add", "anna", cwd=folder)
    failed = here("token", *words, cwd=folder, check=2)
    assert "SettingsError" in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 2


def test_token_that_is_removed_holds_no_more_at_once(here, folder):
    with serving(folder, "--model", "none", env={"RAGKIT_TOKEN": "tulip"}) as (_, url, _):
        token = here("token", "add", "anna", "--read", "notes", cwd=folder).stdout.strip()
        headers = {"authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}api/me", headers=headers).json()["rights"] == {"notes": "read"}
        here("token", "remove", "anna", cwd=folder)
        assert httpx.get(f"{url}api/me", headers=headers).status_code == 401


def test_conversations_of_a_removed_user_are_deleted_or_given_to_another(here, folder):
    with serving(folder, "--model", "none", env={"RAGKIT_TOKEN": "tulip"}) as (_, url, _):
        clients = {}
        for name in ("anna", "ben", "cora"):
            token = here("token", "add", name, "--read", "notes", cwd=folder).stdout.strip()
            clients[name] = httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=60)
            if name != "cora":
                body = {"question": f"When does the bus of {name} leave?", "mode": "quotes"}
                assert "event: finished" in clients[name].post("api/collections/notes/answers", json=body).text
        assert "1 conversation." in here("token", "remove", "anna", cwd=folder).stdout
        for heir in ("nobody", "ben"):
            here("token", "remove", "ben", "--give-to", heir, cwd=folder, check=2)
        here("token", "remove", "ben", "--give-to", "cora", cwd=folder)
        (given,) = clients["cora"].get("api/conversations", params={"query": "bus ben"}).json()["conversations"]
        assert len(clients["cora"].get(f"api/conversations/{given['id']}").json()["messages"]) == 2
    with closing(sqlite3.connect(folder / "indexes" / ".serving" / "serving.sqlite")) as database:
        kept = database.execute("SELECT text FROM messages UNION SELECT text FROM said").fetchall()
    assert not [text for (text,) in kept if "anna" in text]
