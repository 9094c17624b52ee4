"""Ask your documents: short, true answers with exact citations, on your own machine.

The names below load on first use, so ``import ragkit`` is fast and imports neither torch nor faiss nor langchain.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ragkit._lazy import lazy_names

if TYPE_CHECKING:
    from ragkit.answering import Assistant
    from ragkit.errors import RagkitError
    from ragkit.indexing import Index
    from ragkit.records import Answer, Chunk, Citation, Document, Example, Hit, Message, Usage
    from ragkit.retrieval import Retriever

__version__ = "0.1.0"

# Every module logs below this logger; nothing is shown until the program adds a handler.
logging.getLogger("ragkit").addHandler(logging.NullHandler())

_HOMES = {
    "Assistant": "ragkit.answering",
    "RagkitError": "ragkit.errors",
    "Index": "ragkit.indexing",
    "Answer": "ragkit.records",
    "Chunk": "ragkit.records",
    "Citation": "ragkit.records",
    "Document": "ragkit.records",
    "Example": "ragkit.records",
    "Hit": "ragkit.records",
    "Message": "ragkit.records",
    "Usage": "ragkit.records",
    "Retriever": "ragkit.retrieval",
}

__all__ = [
    "Answer",
    "Assistant",
    "Chunk",
    "Citation",
    "Document",
    "Example",
    "Hit",
    "Index",
    "Message",
    "RagkitError",
    "Retriever",
    "Usage",
    "__version__",
]


__getattr__ = lazy_names("ragkit", _HOMES)


def __dir__() -> list[str]:
    return __all__
