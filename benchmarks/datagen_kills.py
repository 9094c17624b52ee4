"""Kills ``ragkit data questions`` at random moments, and compares the rows with those of an undisturbed run.

    python benchmarks/datagen_kills.py [--kills 50] [--number 30] [--limit 24] [--seed 0]

The command indexes paragraphs of XQuAD-en, and scripted replies take the place of the model. It runs in a child
process that is killed (SIGKILL) after a random time up to the duration of an undisturbed run, and is then repeated
until it ends; the next round starts without any files. The rows, the rejected rows and the ledger must be identical to
those of the undisturbed run, and the rows that a kill leaves behind must be complete. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faiss  # noqa: F401 - loaded once, not in each child
import onnxruntime  # noqa: F401

import ragkit.cli.data_questions as command
import ragkit.datagen.generate
import ragkit.documents
import ragkit.embedding
import ragkit.indexing  # noqa: F401
from benchmarks.common import versions, xquad
from ragkit.cli.main import app
from ragkit.datagen import read_data_rows
from ragkit.datagen.candidates import BLANK
from ragkit.datagen.review import RowFiles
from ragkit.models import ScriptedModel
from ragkit.records import Message


class Writer(ScriptedModel):
    """Writes questions of the words around the blank, and answers them from the documents.

    Args:
        texts: of the documents.
        known: file of the answers, so that a process that continues a run can answer the questions of an earlier one.
    """

    name = "scripted"

    def __init__(self, texts: Sequence[str], known: Path) -> None:
        super().__init__(self.reply, window=100_000)
        self._texts = texts
        self._known = known
        lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
        self._answers = dict(json.loads(line) for line in lines)

    def reply(self, messages: Sequence[Message]) -> str:
        """Return a question for the sentence with a blank, or the answer of the question that is asked."""
        text = messages[-1].content
        if BLANK not in text:
            return next((answer for question, answer in self._answers.items() if question in text), "nothing")
        sentence = text.rpartition("Sentence: ")[2].strip()
        words = [word.strip(".,;:()") for word in sentence.replace(BLANK, "").split()]
        question = f"What belongs to {' '.join(words[:9])}?"
        if question not in self._answers:
            pattern = re.compile(re.escape(sentence).replace(re.escape(BLANK), "(.{1,80}?)"))
            found = [match[1] for one in self._texts if (match := pattern.search(one))]
            self._answers[question] = found[0] if found else "nothing"
            with self._known.open("a", encoding="utf-8") as out:
                out.write(json.dumps([question, self._answers[question]]) + "\n")
        return question


def files_of(folder: Path) -> RowFiles:
    """Return the files of a run in a folder."""
    return RowFiles(folder / "rows.jsonl")


def start(folder: Path, documents: Path, number: int) -> int:
    """Start the command in a child process, and return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.chdir(folder)
        with Path("output").open("ab") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.environ["RAGKIT_INDEXES"] = str(folder / "indexes")
        arguments = ["data", "questions", str(documents), "--out", "rows.jsonl", "-n", str(number)]
        app([*arguments, "--unanswerable", "3"], standalone_mode=False)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def result(folder: Path) -> tuple[bytes, bytes, list[tuple[str, ...]]]:
    """Return the rows, the rejected rows, and the work in the ledger."""
    files = files_of(folder)
    with sqlite3.connect(files.ledger) as ledger:
        work = ledger.execute("SELECT item, stage, configuration, result FROM work ORDER BY 1, 2, 3").fetchall()
    ledger.close()
    return files.kept.read_bytes(), files.rejected.read_bytes(), work


def ended(child: int) -> int:
    """Wait for a child process, and return its exit code; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--number", type=int, default=30, help="rows of a run")
    parser.add_argument("--limit", type=int, default=24, help="paragraphs")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    paragraphs = xquad()[0]
    texts = [one.text for one in paragraphs[:: max(1, len(paragraphs) // given.limit)]][: given.limit]
    with tempfile.TemporaryDirectory() as place:
        documents, known = Path(place) / "documents", Path(place) / "answers.jsonl"
        documents.mkdir()
        for number, text in enumerate(texts):
            (documents / f"{number}.txt").write_text(text, encoding="utf-8")
        command.opened_writer = lambda name, settings: Writer(texts, known)
        whole = Path(place) / "whole"
        whole.mkdir()
        began = time.monotonic()
        code = ended(start(whole, documents, given.number))
        seconds = time.monotonic() - began
        if code not in (0, 3):
            sys.exit((whole / "output").read_text())
        expected = result(whole)
        rows = list(read_data_rows(files_of(whole).kept))
        print(f"{versions('ragkit')}\n{len(rows)} rows and {expected[1].count(bytes([10]))} rejected ones in a run")
        kills, rounds, faults = 0, 0, Counter[str]()
        while kills < given.kills:
            rounds += 1
            folder = Path(place) / f"round{rounds}"
            folder.mkdir()
            code = -signal.SIGKILL
            while code == -signal.SIGKILL:
                child = start(folder, documents, given.number)
                time.sleep(draw.uniform(0, seconds))
                if kills < given.kills:
                    os.kill(child, signal.SIGKILL)
                code = ended(child)
                if code == -signal.SIGKILL:
                    kills += 1
                    if files_of(folder).kept.is_file():
                        faults["incomplete files"] += len(list(read_data_rows(files_of(folder).kept))) != len(rows)
            if code not in (0, 3):
                sys.exit((folder / "output").read_text())
            kept, rejected, work = result(folder)
            found = [row.id for row in read_data_rows(files_of(folder).kept)]
            faults["rows lost"] += len({row.id for row in rows} - set(found))
            faults["rows doubled"] += len(found) - len(set(found))
            faults["files that differ"] += (kept != expected[0]) + (rejected != expected[1])
            faults["entries of the ledger that differ"] += len(set(work) ^ set(expected[2]))
            shutil.rmtree(folder)
    print(f"{kills} kills in {rounds} rounds: {', '.join(f'{count} {name}' for name, count in faults.items())}")
    sys.exit(any(faults.values()))


if __name__ == "__main__":
    main()
