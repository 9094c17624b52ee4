"""Shifts the logits of local models a little, as the arithmetic of another CPU does.

``pytest --logit-noise 0.1`` adds a constant to the logit of each token, drawn once from a normal distribution with that
standard deviation. A test that fails then depends on which of two nearly equal tokens a small model prefers, and would
fail on another CPU too. ``--logit-noise-seed`` draws other constants.
"""

import os

import numpy as np

DEVIATION, SEED = "RAGKIT_TEST_LOGIT_NOISE", "RAGKIT_TEST_LOGIT_NOISE_SEED"


def install():
    """Add the noise that the environment asks for to every local model of this process."""
    from ragkit.models.context import Context

    plain = Context.logits
    noise = {}

    def logits(self, number):
        row = plain(self, number)
        if len(row) not in noise:
            random = np.random.default_rng(int(os.environ.get(SEED, 0)))
            drawn = random.normal(scale=float(os.environ[DEVIATION]), size=len(row))
            noise[len(row)] = drawn.astype(np.float32)
        return row + noise[len(row)]

    Context.logits = logits
