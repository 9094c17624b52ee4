"""Model scores of a fit on disk, so that an interrupted fit does not repeat the calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ragkit._files import append_line, read_rows
from ragkit.tasks.calibration import Scores


class FitLog:
    """Cache of questions and their scores in a JSON Lines file.

    Args:
        file: the file; a truncated last line is ignored.
    """

    def __init__(self, file: Path) -> None:
        self._known: dict[str, Scores] = {}
        for row in read_rows(file):
            self._known[row["question"]] = np.array(row["scores"])
        self._file = file

    def kept(self, question: Any, ask: Callable[[], Scores]) -> Scores:
        """Return the scores for a question, from the file or by calling the model.

        Args:
            question: everything that the scores depend on, as JSON values.
            ask: calls the model.
        """
        key = hashlib.sha256(json.dumps(question).encode()).hexdigest()
        if key not in self._known:
            scores = ask()
            append_line(self._file, {"question": key, "scores": scores.tolist()})
            self._known[key] = scores
        return self._known[key]
