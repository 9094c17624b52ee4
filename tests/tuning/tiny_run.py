"""One tuning of the tiny model, for a test to kill: python -m tests.tuning.tiny_run MODEL FOLDER."""

import sys

from ragkit.records import Message
from ragkit.tuning import SftOptions, TuningRecord, tune_sft
from tests.tuning.tiny import COLOURS

OPTIONS = SftOptions(
    epochs=30, rank=4, alpha=8, batch_size=2, row_tokens=32, learning_rate=1e-2, metric="exact", checkpoint_seconds=0.0
)


def records(key, copies=1):
    """Return records that differ from others by their keys only: it is measured on what it has learned."""
    return [
        TuningRecord((Message("user", f"what colour is {word} ?"),), colour, f"{key} {number} {word}")
        for number in range(copies)
        for word, colour in COLOURS.items()
    ]


def run(model, folder, progress=None, options=OPTIONS, restart=False):
    learned, measured = records("learned"), records("a test of what the model says, number")
    return tune_sft(
        "colours", learned, measured, options, base=model, folder=folder, progress=progress, restart=restart
    )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
