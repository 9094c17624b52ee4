"""Ask your documents: short, true answers with exact citations, on your own machine.

The names below load on first use, so ``import ragkit`` itself costs next to nothing and pulls in neither
torch nor faiss nor langchain.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.answering import Assistant
    from ragkit.errors import RagkitError
    from ragkit.indexing import Index
    from ragkit.records import Answer, Chunk, Citation, Document, Example, Hit, Message, Usage
    from ragkit.retrieval import Retriever

__version__ = "0.1.0"

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


def __getattr__(name: str) -> Any:
    """Import a public name from its package on first use.

    Raises:
        AttributeError: if ragkit has no such public name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'ragkit' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
