"""Whether a source supports a sentence: one method behind a Protocol.

`ComposedVerifier` is the default and needs no model of its own. `CrossEncoderVerifier` opens an entailment model from a
local folder. Anything else with the method `verify` will do.
"""

from ragkit.answering.support.base import Support, SupportVerifier
from ragkit.answering.support.composed import ComposedVerifier
from ragkit.answering.support.cross_encoder import CrossEncoderVerifier

__all__ = ["ComposedVerifier", "CrossEncoderVerifier", "Support", "SupportVerifier"]
