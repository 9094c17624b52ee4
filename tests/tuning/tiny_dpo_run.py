"""One tuning of the tiny model on rankings, for a test to kill: python -m tests.tuning.tiny_dpo_run MODEL FOLDER."""

import sys

from ragkit.tuning.lora.dpo import DpoOptions, tune_dpo
from ragkit.tuning.rewards.rankings import Ranking
from tests.tuning.tiny import COLOURS

OPTIONS = DpoOptions(epochs=12, rank=4, alpha=8, batch_size=4, learning_rate=1e-2, checkpoint_seconds=0.0)
FORMS = ("what colour is {} ?", "what is the colour of {} ?", "tell me the colour {} is ?")


def rankings(*forms, key):
    colours = list(COLOURS.values())
    return [
        Ranking(form.format(word), colour, colours[(number + step) % len(colours)], {"key": f"{key} {form} {word}"})
        for form in forms
        for number, (word, colour) in enumerate(COLOURS.items())
        for step in (1, 3)
    ]


def run(model, folder, progress=None, options=OPTIONS, restart=False):
    train = rankings(*FORMS, key="lesson: its hue.")
    held = rankings("tell me what colour is {} ?", key="an exam about colours")
    return tune_dpo("taste", train, held, options, base=model, folder=folder, progress=progress, restart=restart)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
