"""The catalogue of GGUF models that ragkit recommends, by name and by the memory that a machine has."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ragkit.models.hub import needed_memory

_FILE = Path(__file__).with_name("catalogue.toml")
_SHARE = 0.6
"""Part of a machine's memory that a recommended model may take; the rest is for the index and other programs."""
FAST_ON_CPU = 4.0
"""Billions of parameters up to which a model answers at about reading speed on a CPU."""
_RECOMMENDED = ("qwen2.5-14b", "qwen2.5-7b", "qwen3-4b", "qwen2.5-1.5b", "qwen2.5-0.5b", "smollm2-360m")
"""Candidates of ``recommend``, the best first: general, multilingual, under a free licence."""


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """A model of the catalogue."""

    name: str
    hf: str
    """Name for ``models pull``: ``hf:OWNER/REPO``."""
    parameters: float
    """Number of parameters, in billions."""
    bytes: int
    """Approximate size of the file."""
    license: str
    languages: str
    good_at: str

    @property
    def memory_bytes(self) -> int:
        """Memory that it takes when it runs, estimated."""
        return needed_memory(self.bytes)


@cache
def catalogue() -> tuple[CatalogueModel, ...]:
    """Return the models of the catalogue, from small to large."""
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))["models"]
    models = [
        CatalogueModel(
            name,
            str(entry["hf"]),
            float(entry["parameters"]),
            int(entry["bytes"]),
            str(entry["license"]),
            str(entry["languages"]),
            str(entry["good_at"]),
        )
        for name, entry in table.items()
    ]
    return tuple(sorted(models, key=lambda model: model.parameters))


def find_in_catalogue(name: str) -> CatalogueModel | None:
    """Return a model of the catalogue, or None."""
    return next((model for model in catalogue() if model.name == name.lower()), None)


def recommend(memory_bytes: int | None, parameters: float = FAST_ON_CPU) -> CatalogueModel:
    """Return the best model for a machine with this much memory; the smallest if that is unknown.

    Args:
        memory_bytes: memory in bytes of the machine.
        parameters: maximum number, in billions; by default what a CPU runs at reading speed.
    """
    models = [model for name in _RECOMMENDED if (model := find_in_catalogue(name)) is not None]
    models = [model for model in models if model.parameters <= parameters] or models[-1:]
    fitting = [model for model in models if memory_bytes and model.memory_bytes <= _SHARE * memory_bytes]
    return fitting[0] if fitting else models[-1]
