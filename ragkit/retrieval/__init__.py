"""Retrieval: vector and keyword search, fused, filtered, reranked and diversified."""

from ragkit.retrieval.cross_encoder import CrossEncoderReranker
from ragkit.retrieval.expansion import Expansion, expanded_span
from ragkit.retrieval.late_interaction import LateInteraction
from ragkit.retrieval.linked import Link, LinkedHits, retrieve_linked
from ragkit.retrieval.retriever import Reranker, Retrieval, RetrievalOptions, Retriever, Searcher

__all__ = [
    "CrossEncoderReranker",
    "Expansion",
    "LateInteraction",
    "Link",
    "LinkedHits",
    "Reranker",
    "Retrieval",
    "RetrievalOptions",
    "Retriever",
    "Searcher",
    "expanded_span",
    "retrieve_linked",
]
