"""Compresses retrieved passages to entity records whose values are spans, if the answer is probably still there."""

from ragkit.answering.compression.context import Compressed, Compression, Stretch, compress
from ragkit.answering.compression.records import EntityRecord, records_of

__all__ = ["Compressed", "Compression", "EntityRecord", "Stretch", "compress", "records_of"]
