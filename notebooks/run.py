"""Run a notebook in full and write it with its outputs, without the times and names of this machine.

Run: python notebooks/run.py notebooks/02_learning_from_examples.ipynb
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]


def _tidy(output: Any) -> None:
    """Leave out the plain form of what has a rich one, and the folder that the project lies in."""
    data = output.get("data", {})
    if len(data) > 1:
        data.pop("text/plain", None)
    for kind, text in data.items():
        if isinstance(text, str):
            data[kind] = text.replace(f"{ROOT}/", "")


def main() -> None:
    """Run the notebooks that are named, each in its own folder, and write them."""
    for name in sys.argv[1:]:
        path = Path(name)
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook, timeout=3600, record_timing=False, resources={"metadata": {"path": str(path.parent)}}
        ).execute()
        for cell in notebook.cells:
            cell.metadata = {}
            for output in cell.get("outputs", ()):
                _tidy(output)
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.validate(notebook)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
