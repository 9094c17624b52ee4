"""Chunks and vectors to an index on disk: SQLite holds the truth, FAISS and tantivy files are made from it.

See docs/index-format.md for what lies where and what is guaranteed.
"""

from ragkit.indexing.filters import Field, Filter
from ragkit.indexing.index import Index, IndexOptions
from ragkit.indexing.reports import AddReport, Progress, RepairReport, SyncPlan, VerifyReport
from ragkit.indexing.vectors import VectorOptions

__all__ = [
    "AddReport",
    "Field",
    "Filter",
    "Index",
    "IndexOptions",
    "Progress",
    "RepairReport",
    "SyncPlan",
    "VectorOptions",
    "VerifyReport",
]
