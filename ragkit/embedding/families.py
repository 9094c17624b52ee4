"""Prompts and pooling of embedding model families whose files do not state them.

Written down from the model cards; a prompt or pooling in the model's own configuration has precedence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Pooling = Literal["mean", "cls", "lasttoken"]
_SEARCH = "Represent this sentence for searching relevant passages: "
_INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
_QUERY_KEYS = ("query", "search_query", "retrieval.query", "retrieval_query", "s2p_query")
_DOCUMENT_KEYS = ("document", "passage", "search_document", "retrieval.passage", "retrieval_document", "s2p_document")


@dataclass(frozen=True, slots=True)
class Family:
    """Models that were trained with the same prompts."""

    pattern: str
    """Searched in the model's name, in lower case."""
    query: str = ""
    document: str = ""
    pooling: Pooling = "mean"

    @property
    def prompts(self) -> Mapping[str, str]:
        """The prompt of each kind of text that has one."""
        return {kind: text for kind, text in (("query", self.query), ("document", self.document)) if text}


FAMILIES = (
    Family(r"e5-.*instruct", query=_INSTRUCT),
    Family(r"(^|[/_-])e5-", query="query: ", document="passage: "),
    Family(r"bge-m3", pooling="cls"),
    Family(r"bge-.*-zh", query="为这个句子生成表示以用于检索相关文章：", pooling="cls"),
    Family(r"bge-", query=_SEARCH, pooling="cls"),
    Family(r"qwen3-embedding", query=_INSTRUCT.removesuffix(" "), pooling="lasttoken"),
    Family(r"nomic-embed-text", query="search_query: ", document="search_document: "),
    Family(r"snowflake-arctic-embed.*v2", query="query: ", pooling="cls"),
    Family(r"(snowflake-arctic-embed|mxbai-embed)", query=_SEARCH, pooling="cls"),
    Family(r"gte-(multilingual|modernbert|.*-v1\.5)", pooling="cls"),
    Family(r"gte-"),
)
"""Families by name pattern; the first match is used."""
_NONE = Family("")


def family(*names: str) -> Family:
    """Return the family of a model, by any of its names; one without prompts for an unknown model."""
    for name in names:
        for known in FAMILIES:
            if re.search(known.pattern, name.lower()):
                return known
    return _NONE


def configured_prompts(prompts: Mapping[str, str]) -> dict[str, str]:
    """Return the prompts that a model's configuration gives for queries and documents; empty if it gives none."""
    found = {}
    for kind, keys in (("query", _QUERY_KEYS), ("document", _DOCUMENT_KEYS)):
        text = next((prompts[key] for key in keys if prompts.get(key)), "")
        if text:
            found[kind] = text
    return found
