"""``ragkit chat`` in processes of its own, with piped input and in a terminal."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from ragkit.serving import conversations, people
from ragkit.serving.conversations import Conversations
from ragkit.serving.database import Database
from ragkit.serving.people import OWNER
from tests.cli.test_serve import serving
from tests.serving.conftest import until

COMMAND = [sys.executable, "-m", "ragkit.cli", "chat"]


@pytest.fixture
def folder(tmp_path, sample_index):
    """A folder with the index of the samples, called notes."""
    shutil.copytree(sample_index, tmp_path / "indexes" / "notes")
    return tmp_path


def environment(**more):
    return {**os.environ, "COLUMNS": "200", "RAGKIT_THREADS": "1", "OPENAI_API_KEY": "", "TERM": "dumb", **more}


def piped(cwd, *lines, options=("--model", "none"), check=0, **variables):
    """Run the command with lines as its input and return it."""
    done = subprocess.run(
        [*COMMAND, "notes", *options],
        cwd=cwd,
        env=environment(**variables),
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == check, done.stderr
    return done


def stored(cwd):
    """Return the messages of each conversation, the latest first."""
    database = Database(cwd / "indexes" / ".serving" / "serving.sqlite", people.SCHEMA + conversations.SCHEMA)
    kept = Conversations(database)
    found = [kept.messages(one.id) for one in kept.find(OWNER, ["notes"])]
    database.close()
    return found


class Terminal:
    """A process in a terminal."""

    def __init__(self, cwd, *options):
        self._side, other = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, "notes", *options],
            cwd=cwd,
            env=environment(),
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            preexec_fn=lambda: _take_terminal(other),
        )
        os.close(other)
        self.said = ""

    def until(self, pattern, again=""):
        """Read until the output since the last call matches, and return that part; press ``again`` if none comes."""
        while not re.search(pattern, self.said):
            ready, _, _ = select.select([self._side], [], [], 10 if again else 90)
            if not ready and again:
                self.type(again)
                again = ""
                continue
            assert ready, self.said
            try:
                self.said += os.read(self._side, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
            except OSError:  # the other side is closed
                raise AssertionError(self.said) from None
        end = re.search(pattern, self.said).end()
        part, self.said = self.said[:end], self.said[end:]
        return part

    def type(self, text):
        os.write(self._side, text.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._side)


def _take_terminal(descriptor):
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


@contextmanager
def terminal(cwd, *options):
    opened = Terminal(cwd, *options)
    try:
        yield opened
    finally:
        opened.close()


def test_piped_questions_follow_up_and_commands(folder):
    done = piped(
        folder,
        "When does the last bus leave?",
        "",
        "And on which days does it run?",
        "/source 1",
        "/mode quotes",
        "/save talk.md",
        "/new",
        "What does error E27 mean?",
    )
    assert not re.search("^> ", done.stdout, re.MULTILINE)
    assert "23:10" in done.stdout
    assert re.search(r"^\[1\] faq\.html", done.stdout, re.MULTILINE)
    assert "Mode: quotes." in done.stdout
    latest, first = stored(folder)
    assert [message.role for message in first] == ["user", "assistant"] * 2
    assert [message.text for message in latest][:1] == ["What does error E27 mean?"]
    assert latest[1].answer["citations"][0]["page"] == 4
    saved = (folder / "talk.md").read_text()
    assert saved.startswith("# When does the last bus leave?\n")
    assert "## And on which days does it run?" in saved
    assert "- [1] faq.html: “" in saved


def test_piped_errors_are_shown_with_how_to_fix_them_and_the_rest_is_answered(folder):
    (folder / "here.md").write_text("mine")
    done = piped(
        folder,
        "/sauce 1",
        "/source",
        "/save",
        "/mode chat",
        "/model no-such-model",
        "/mode extract",
        "When does the last bus leave?",
        "/source 9",
        "/save here.md",
        check=2,
    )
    assert "23:10" in done.stdout
    for told in (
        r"Unknown command /sauce\.\nCommands: /source, ",
        r"no sources\.\nAsk a question first",
        r"nothing to save",
        r"requires a model|needs a model",
        r"no-such-model",
        r"no source 9\.\nIts sources: 1",
        r"here\.md already exists",
    ):
        assert re.search(told, done.stderr), told
    assert "Traceback" not in done.stderr
    assert (folder / "here.md").read_text() == "mine"


def test_failed_answer_is_stored_with_its_reason_and_the_next_question_is_answered(folder):
    endpoint = {"RAGKIT_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "none"}
    lines = ("When does the last bus leave?", "/model none", "And on Sundays?")
    options = ("--model", "openai:missing", "--mode", "chat")
    done = piped(folder, lines[0], "/mode quotes", *lines[1:], options=options, check=1, **endpoint)
    assert "127.0.0.1:9" in done.stderr
    ((asked, failed, _, answered),) = stored(folder)
    assert asked.text == failed.question == lines[0]
    assert failed.error["message"]
    assert (failed.complete, answered.complete) == (False, True)


def test_control_characters_of_a_document_do_not_reach_the_terminal(folder):
    (folder / "docs").mkdir()
    (folder / "docs" / "trap.txt").write_text("The gate opens at 08:00 \x1b]0;owned\x07\x1b[2J on weekdays.\n")
    done = subprocess.run(
        [*COMMAND, "docs", "--model", "none"],
        cwd=folder,
        env=environment(),
        input="When does the gate open?\n/source 1\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("08:00") >= 3
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_terminal_asks_stops_with_control_c_and_leaves_with_control_d(folder):
    with terminal(folder, "--model", "smollm2", "--mode", "chat") as shell:
        assert "notes: " in shell.until("> ")
        shell.type("When does the last bus leave?\n")
        # The terminal echoes the line before the command has read it.
        until(lambda: any(stored(folder)), 90)
        shell.type("\x03")
        shell.until(r"Stopped\.\n\n> ")
        shell.type("half a question")
        shell.until("half a question")
        shell.type("\x03")
        # readline notices a Ctrl-C that comes while it draws its prompt only at the next key.
        assert "Ctrl-D" in shell.until("> $", again="\x03")
        shell.type("/mode quotes\n")
        shell.until(r"Mode: quotes\.\n\n> ")
        shell.type("When does the last bus leave?\n")
        assert "23:10" in shell.until(r"\[1\] .*\n\n> ")
        shell.type("/source 1\n")
        assert "Ostrava Square" in shell.until(r"\n\n> ")
        shell.type("\x04")
        assert shell.process.wait(30) == 0
    ((asked, stopped, again, answered),) = stored(folder)
    assert (asked.text, again.text) == ("When does the last bus leave?",) * 2
    assert (stopped.stopped, answered.stopped) == (True, False)


def test_page_and_terminal_continue_one_conversation(folder):
    piped(folder, "When does the last bus leave?")
    with serving(folder, "--model", "none") as (_, url, _):
        (found,) = httpx.get(f"{url}api/conversations").json()["conversations"]
        assert found["title"] == "When does the last bus leave?"
        _, answer = httpx.get(f"{url}api/conversations/{found['id']}").json()["messages"]
        assert "23:10" in answer["text"]
        assert answer["answer"]["citations"][0]["name"] == "faq.html"
        assert httpx.get(f"{url}api/messages/{answer['id']}/why").json()["hits"]
        asked = {"question": "What does a family ticket cost?", "conversation": found["id"]}
        httpx.post(f"{url}api/collections/notes/answers", json=asked, timeout=60).raise_for_status()
        done = piped(folder, "/source", "And a single one?", options=("--model", "none", "--continue"))
        assert "Last question: What does a family ticket cost?" in done.stdout
        assert "[1] prices.csv" in done.stdout
        messages = httpx.get(f"{url}api/conversations/{found['id']}").json()["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant"] * 3


def test_continue_without_a_conversation_is_an_error(folder):
    done = piped(folder, "hello", options=("--continue",), check=2)
    assert "There is no conversation about notes" in done.stderr
