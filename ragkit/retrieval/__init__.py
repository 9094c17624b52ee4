"""A query to hits: vectors and keywords searched side by side and fused, filtered, reranked, diversified."""

from ragkit.retrieval.expansion import Expansion, expanded_span
from ragkit.retrieval.retriever import Retrieval, RetrievalOptions, Retriever

__all__ = ["Expansion", "Retrieval", "RetrievalOptions", "Retriever", "expanded_span"]
