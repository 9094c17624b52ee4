"""Chunks and vectors to an index on disk: SQLite holds the truth, FAISS and tantivy files are made from it.

See docs/index-format.md for what lies where and what is guaranteed.
"""

from ragkit._progress import Progress, ProgressCallback
from ragkit.indexing.filter_text import parse_filter
from ragkit.indexing.filters import Field, Filter
from ragkit.indexing.index import Index, IndexOptions
from ragkit.indexing.reports import AddReport, IndexStats, RepairReport, SyncPlan, VerifyReport
from ragkit.indexing.vectors import VectorOptions

__all__ = [
    "AddReport",
    "Field",
    "Filter",
    "Index",
    "IndexOptions",
    "IndexStats",
    "Progress",
    "ProgressCallback",
    "RepairReport",
    "SyncPlan",
    "VectorOptions",
    "VerifyReport",
    "parse_filter",
]
