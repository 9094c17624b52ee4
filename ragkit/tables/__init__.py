"""Answers questions about tables and databases by SQL: files, tables in documents, SQLite and PostgreSQL, read only.

``open_tables(target).ask(question)`` returns the rows of a query with citations of their source cells, or refuses a
question that no query matches.
"""

from typing import TYPE_CHECKING

from ragkit._lazy import lazy_names

if TYPE_CHECKING:
    from ragkit.tables.asking import TableOptions, Tables, open_tables
    from ragkit.tables.base import CellCitation, Column, QueryLimits, TableAnswer, TableInfo
    from ragkit.tables.checking import check_sql
    from ragkit.tables.record_export import RecordExport, RecordRow, export_records
    from ragkit.tables.running import CitedRows

_HOMES = {
    "CellCitation": "ragkit.tables.base",
    "CitedRows": "ragkit.tables.running",
    "Column": "ragkit.tables.base",
    "QueryLimits": "ragkit.tables.base",
    "RecordExport": "ragkit.tables.record_export",
    "RecordRow": "ragkit.tables.record_export",
    "TableAnswer": "ragkit.tables.base",
    "TableInfo": "ragkit.tables.base",
    "TableOptions": "ragkit.tables.asking",
    "Tables": "ragkit.tables.asking",
    "check_sql": "ragkit.tables.checking",
    "export_records": "ragkit.tables.record_export",
    "open_tables": "ragkit.tables.asking",
}
"""Public names whose modules are loaded on first use."""

__all__ = [
    "CellCitation",
    "CitedRows",
    "Column",
    "QueryLimits",
    "RecordExport",
    "RecordRow",
    "TableAnswer",
    "TableInfo",
    "TableOptions",
    "Tables",
    "check_sql",
    "export_records",
    "open_tables",
]

__getattr__ = lazy_names("ragkit.tables", _HOMES)


def __dir__() -> list[str]:
    return __all__
