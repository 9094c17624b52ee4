"""Splits documents into chunks: token windows at heading, paragraph and sentence boundaries, with exact offsets.

A table that is longer than a chunk repeats its column names in the header of each chunk.
"""

from ragkit.chunking.chunker import ChunkingOptions, chunk_document
from ragkit.chunking.sentences import sentence_spans
from ragkit.chunking.splitters import Splitter
from ragkit.chunking.tables import Cell, Row, Table, has_aligned_columns, table_at, tables_in
from ragkit.chunking.tokenizer import Tokenizer

__all__ = [
    "Cell",
    "ChunkingOptions",
    "Row",
    "Splitter",
    "Table",
    "Tokenizer",
    "chunk_document",
    "has_aligned_columns",
    "sentence_spans",
    "table_at",
    "tables_in",
]
