"""Training data from documents: rows with exact spans, checked without asking a model to judge them."""

from ragkit.datagen.rows import DataRow, Decision, Generator, TextSpan, read_data_rows, write_rows

__all__ = ["DataRow", "Decision", "Generator", "TextSpan", "read_data_rows", "write_rows"]
