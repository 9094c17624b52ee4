"""SmolLM2's file is parsed once for all tests that tune it."""

from functools import cache

import pytest


@pytest.fixture(scope="session", autouse=True)
def parsed_once():
    """transformers parses a GGUF file twice for each load, and makes its table of names once for each module."""
    gguf = pytest.importorskip("gguf", reason="pip install 'ragkit[tune]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf, "GGUFReader", cache(gguf.GGUFReader))
        patch.setattr(gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map))
        yield
