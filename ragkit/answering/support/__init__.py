"""Whether a source supports a sentence: one method behind a Protocol.

`ComposedVerifier` is the default and needs no additional model. `CrossEncoderVerifier` opens an entailment model from a
local folder. Any object with the method `verify` can be used.
"""

from ragkit.answering.support.base import Support, SupportVerifier
from ragkit.answering.support.composed import ComposedVerifier
from ragkit.answering.support.cross_encoder import CrossEncoderVerifier

__all__ = ["ComposedVerifier", "CrossEncoderVerifier", "Support", "SupportVerifier"]
