"""Training data from documents: rows with exact spans, checked without asking a model to judge them."""

from ragkit.datagen.rows import DataRow, Decision, Generator, TextSpan, read_data_rows, write_rows
from ragkit.datagen.verify import SpanFault, VerifiedRows, verify_rows

__all__ = [
    "DataRow",
    "Decision",
    "Generator",
    "SpanFault",
    "TextSpan",
    "VerifiedRows",
    "read_data_rows",
    "verify_rows",
    "write_rows",
]
