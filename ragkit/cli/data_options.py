"""Options that several commands of ``ragkit data`` have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RowsFile = Annotated[
    Path,
    typer.Option("--out", "--output", "-o", metavar="FILE", help="File for the rows (JSON Lines).", show_default=False),
]
ValFraction = Annotated[
    float, typer.Option(min=0.0, max=0.99, help="Fraction of documents whose rows are for validation.")
]
DocumentLicense = Annotated[str, typer.Option(help="License of the documents, recorded in each row.")]
LedgerFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Ledger of finished work (default: beside the rows).", show_default=False),
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Show the number of model calls and the estimated time; write no rows.")
]
