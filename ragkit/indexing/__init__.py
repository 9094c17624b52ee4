"""The index on disk: SQLite is the source of truth; FAISS and tantivy files are derived from it.

For the files and guarantees, see docs/index-format.md.
"""

from ragkit._progress import Progress, ProgressCallback
from ragkit.indexing.backups import Backup, back_up, restore
from ragkit.indexing.filter_text import parse_filter
from ragkit.indexing.filters import Field, Filter
from ragkit.indexing.index import Index
from ragkit.indexing.options import IndexOptions
from ragkit.indexing.reports import AddReport, IndexStats, RepairReport, SyncPlan, VerifyReport
from ragkit.indexing.vectors import VectorOptions

__all__ = [
    "AddReport",
    "Backup",
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
    "back_up",
    "parse_filter",
    "restore",
]
