"""Values of the steps of a plan: passages, items, or one value, each with the spans that it is from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ragkit.records import Citation

Kind = Literal["passages", "items", "value"]


@dataclass(frozen=True, slots=True)
class Item:
    """A passage, a list item, or a value."""

    text: str
    citations: tuple[Citation, ...] = ()
    """Spans that support it; those of a passage, the passage itself."""
    score: float = 1.0
    """Score of the hit, for a passage."""


@dataclass(frozen=True, slots=True)
class Value:
    """The result of a step."""

    kind: Kind
    items: tuple[Item, ...]
    """Items of the value; a ``value`` has exactly one."""
    label: str = ""
    """First text argument of the step, such as its question."""
    confidence: float = 1.0
    """Probability, 0 to 1, that it is right: the lowest of its source values."""
    note: str = ""
    """A sentence on what was left out."""

    @classmethod
    def single(cls, text: str, *parents: Value, citations: tuple[Citation, ...] = ()) -> Value:
        """Return one value that is computed from others: it has all their citations and their lowest confidence."""
        found = citations or tuple(unique(citation for parent in parents for citation in parent.citations()))
        return cls("value", (Item(text, found),), confidence=lowest(*parents))

    @property
    def text(self) -> str:
        """The texts of the items, one per line."""
        return "\n".join(item.text for item in self.items)

    def citations(self) -> Iterator[Citation]:
        """Yield the citations of all items."""
        for item in self.items:
            yield from item.citations

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; a passage has its text once, as the quote of its citation."""
        content = asdict(self)
        for item in content["items"]:
            if self.kind == "passages" and item["citations"]:
                del item["text"]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Value:
        """Return the value of ``to_dict``."""
        items = []
        for item in content["items"]:
            citations = tuple(
                Citation(**{**citation, "heading_path": tuple(citation["heading_path"])})
                for citation in item["citations"]
            )
            items.append(Item(item.get("text", citations[0].quote if citations else ""), citations, item["score"]))
        return cls(**{**content, "items": tuple(items)})

    def digest(self) -> str:
        """Return the SHA-256 of the value, 16 hexadecimal digits."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def unique(citations: Iterator[Citation]) -> list[Citation]:
    """Return citations without their numbers, each span once."""
    found: dict[tuple[str, int, int], Citation] = {}
    for citation in citations:
        found.setdefault((citation.document_id, citation.start, citation.end), replace(citation, number=0))
    return list(found.values())


def lowest(*values: Value) -> float:
    """Return the lowest confidence of values; 1 without any."""
    return min((value.confidence for value in values), default=1.0)
