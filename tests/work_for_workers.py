"""Work that tests give to workers: it counts, fails as it is told to, or ends its process."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

from ragkit.errors import ModelNotFoundError, QueryError


@contextmanager
def open_counter(setup):
    if setup.get("missing"):
        raise ModelNotFoundError("There is no such model.", "Name another one.")
    folder = Path(setup["folder"])

    def work(item):
        if item == "bad":
            raise QueryError("The item is bad.", "Pass a good one.")
        if item == "fault":
            return {}["key"]
        if item == "always" or (item == "once" and not (folder / "once").exists()):
            (folder / "once").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [item, os.getpid()]

    yield work
