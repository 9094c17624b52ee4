"""Generate questions in a child process that kills itself after some calls of the model. Prints the number of calls."""

import os
import signal
import sys

from ragkit import Index
from ragkit.datagen import Ledger
from ragkit.models import ScriptedModel
from tests.datagen.test_questions import asking, run

index_path, ledger_path, output, limit = sys.argv[1:]
calls = 0


def write(messages):
    global calls
    calls += 1
    if calls > int(limit):
        os.kill(os.getpid(), signal.SIGKILL)
    return asking(messages)


with Index.open(index_path) as index, Ledger(ledger_path) as ledger:
    report = run(index, ledger, 15, ScriptedModel(write))
report.save(output)
print(calls)
