"""Python imports this at its start where ``--logit-noise`` put its folder on the path."""

from tests import logit_noise

logit_noise.install()
