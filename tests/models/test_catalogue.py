"""The catalogue of recommended models."""

import pytest

from ragkit._hub import parse_name
from ragkit.models.catalogue import catalogue, find_in_catalogue, recommend

GB = 10**9


def test_catalogue_covers_small_and_large_models_in_order():
    models = catalogue()
    sizes = [model.parameters for model in models]
    assert len(models) >= 12
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.5
    assert sizes[-1] > 13
    for model in models:
        assert parse_name(model.hf).repo
        assert model.license
        assert 0.45 <= model.bytes / (model.parameters * GB) <= 1.2, model.name


@pytest.mark.parametrize(
    ("memory", "name"),
    [
        (None, "smollm2-360m"),
        (1 * GB, "smollm2-360m"),
        (2 * GB, "qwen2.5-0.5b"),
        (4 * GB, "qwen2.5-1.5b"),
        (8 * GB, "qwen3-4b"),
        (64 * GB, "qwen3-4b"),
    ],
)
def test_recommendation_fits_the_memory(memory, name):
    model = recommend(memory)
    assert model.name == name
    assert find_in_catalogue(name) == model
    if memory and memory > GB:
        assert model.memory_bytes <= memory


def test_larger_models_are_recommended_where_speed_does_not_matter():
    assert [recommend(size * GB, 100).name for size in (8, 16, 64)] == ["qwen3-4b", "qwen2.5-7b", "qwen2.5-14b"]
