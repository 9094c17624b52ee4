"""The feedback log: what was added stays as it was, and the last word on a subject holds."""

import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ragkit.errors import IndexWriteError, SettingsError, StoreError
from ragkit.feedback import FeedbackLog
from tests.feedback.events import LARGE, chosen, compared, corrected, quote, thumb

QUESTION = "When does the ferry leave?"


@pytest.fixture
def log(tmp_path):
    with FeedbackLog.open(tmp_path / "state" / "feedback.sqlite") as opened:
        yield opened


def test_every_kind_comes_back_as_it_went_in(log):
    given = [
        thumb(QUESTION, "At nine [1].", said="At nine [3].", quotes=[quote("leaves at nine")], message="m1"),
        corrected(QUESTION, "At ten.", "At nine.", message="m2"),
        compared(QUESTION, "At ten.", "At nine.", "b"),
        chosen(QUESTION, "At nine."),
    ]
    added = [log.add(event) for event in given]
    assert [event.id for event in added] == [1, 2, 3, 4]
    assert log.events() == added
    assert [replace(event, id=0) for event in log.events()] == given


def test_a_later_word_on_the_same_answer_holds_and_the_earlier_one_stays(log):
    log.add(thumb(QUESTION, "At nine.", "up", message="m1"))
    log.add(thumb(QUESTION, "At nine.", "down", person="bob", message="m1"))
    log.add(thumb(QUESTION, "At nine.", None, message="m1"))
    assert [(event.person, event.thumb) for event in log.events()] == [("bob", "down"), ("ann", None)]
    assert [event.thumb for event in log.events(superseded=True)] == ["up", "down", None]


def test_answers_without_a_message_are_told_apart_by_what_they_are(log):
    log.add(thumb(QUESTION, "At nine."))
    log.add(thumb(QUESTION, "At nine.", config=LARGE))
    log.add(thumb("And back?", "At nine."))
    log.add(thumb(QUESTION, "At nine.", "down"))
    assert len(log.events()) == 3


def test_events_are_filtered_by_kind_collection_person_and_time(log):
    old = replace(thumb(QUESTION, "At nine."), created=datetime(2020, 1, 1, tzinfo=UTC))
    log.add(old)
    log.add(thumb(QUESTION, "At nine.", person="bob"))
    log.add(replace(chosen(QUESTION, "At nine."), collection="sea"))
    assert len(log.events("rating")) == 2
    assert [event.kind for event in log.events(collection="sea")] == ["example"]
    assert [event.person for event in log.events(person="bob")] == ["bob"]
    assert len(log.events(since=datetime.now(UTC) - timedelta(hours=1))) == 2
    with pytest.raises(SettingsError, match="rating, correction, comparison, example"):
        log.events("likes")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"thumb": "sideways"}, "thumb"),
        ({"question": "  "}, "question"),
        ({"collection": ""}, "collection"),
        ({"question": "half a \ud800"}, "surrogates"),
        ({"created": datetime(2026, 1, 1)}, "timezone"),
    ],
)
def test_what_can_not_be_is_refused_and_named(log, wrong, named):
    with pytest.raises(SettingsError, match=named):
        log.add(replace(thumb(QUESTION, "At nine."), **wrong))
    assert len(log) == 0


def test_no_event_is_ever_changed(log):
    log.add(thumb(QUESTION, "At nine."))
    with sqlite3.connect(log.path) as other, pytest.raises(sqlite3.IntegrityError, match="never changed"):
        other.execute("UPDATE events SET person = 'eve'")


def test_removing_a_person_or_a_collection_leaves_no_trace_in_the_files(log):
    log.add(thumb("Is the zeppelinmuseum open?", "At nine.", person="ann"))
    log.add(thumb("Is the submarine open?", "At ten.", person="bob"))
    assert log.remove(person="ann") == 1
    assert [event.person for event in log.events()] == ["bob"]
    kept = b"".join(file.read_bytes() for file in log.path.parent.iterdir())
    assert b"zeppelinmuseum" not in kept
    assert b"submarine" in kept
    assert log.remove(collection="town") == 1
    with pytest.raises(SettingsError, match="person or a collection"):
        log.remove()


def test_what_was_added_is_there_after_the_process_was_killed(tmp_path):
    code = (
        "import os, sys\nfrom ragkit.feedback import FeedbackLog\nfrom tests.feedback.events import thumb\n"
        "log = FeedbackLog.open(sys.argv[1])\nlog.add(thumb('When?', 'At nine.'))\nos.kill(os.getpid(), 9)"
    )
    file = tmp_path / "feedback.sqlite"
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode == -9
    with FeedbackLog.open(file, create=False) as log:
        assert [event.question for event in log.events()] == ["When?"]


def test_threads_and_a_second_opening_write_side_by_side(log):
    with FeedbackLog.open(log.path) as second:

        def write(own, who):
            for number in range(20):
                own.add(thumb(f"Question {number}?", "At nine.", person=who))

        threads = [threading.Thread(target=write, args=(own, f"{i}")) for i, own in enumerate((log, log, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(second) == 60
        assert sorted(event.id for event in log.events()) == list(range(1, 61))


def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path):
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, but some words that are long enough for a header " * 20)
    before = other.read_bytes()
    for file in (other, text):
        with pytest.raises(StoreError, match="not a feedback log"):
            FeedbackLog.open(file)
    assert other.read_bytes() == before
    with pytest.raises(StoreError, match="There is no feedback log"):
        FeedbackLog.open(tmp_path / "none.sqlite", create=False)
    with pytest.raises(IndexWriteError, match="can't be read or written"):
        FeedbackLog.open(text / "feedback.sqlite")
