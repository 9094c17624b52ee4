"""Small models in a format without fast kernels are loaded from a copy, which changes their probabilities hardly."""

from contextlib import closing

import numpy as np
import pytest

from ragkit.models import open_model
from ragkit.models.cpu_format import cpu_file
from ragkit.models.engine import Engine
from ragkit.models.files import model_path
from ragkit.models.gguf_header import file_type
from ragkit.models.llama_cpp import LlamaCppModel
from tests.models.small_gguf import write_model

TEXT = "The observatory stands on a hill above the town. It opens on Fridays, and the last bus back leaves at 23:10."


@pytest.fixture(scope="module")
def original():
    pytest.importorskip("llama_cpp", reason="pip install 'ragkit[local]'")
    return model_path("smollm2")


@pytest.fixture(scope="module")
def copied(original, tmp_path_factory):
    """Return the path of a copy in a new cache, which other tests of this file use as well."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGKIT_CACHE", str(cache))
        yield cpu_file(original)


def token_scores(path):
    engine = Engine(path, threads=1)
    tokens = engine.tokenize(TEXT)
    engine.evaluate(tokens[:2])
    (scores,) = engine.score([tokens[2:]])
    engine.close()
    return np.array(scores)


def test_copy_gives_nearly_the_same_probabilities(original, copied):
    assert copied != original
    assert file_type(original) == 3
    assert file_type(copied) == 7
    assert np.abs(token_scores(copied) - token_scores(original)).mean() < 0.1


def test_copy_is_made_once_and_leaves_nothing_else(original, copied):
    before = copied.stat().st_mtime_ns
    assert cpu_file(original) == copied
    assert copied.stat().st_mtime_ns == before
    assert sorted(file.name for file in copied.parent.iterdir()) == sorted([copied.name, "lock"])


def test_damaged_copy_is_removed_and_the_file_itself_is_used(original, copied):
    content = copied.read_bytes()
    copied.write_bytes(content[: len(content) // 2])
    with closing(LlamaCppModel(original, threads=1, window=64)) as model:
        assert model.path == original
        assert model.count_text("one two") > 0
    assert not copied.exists()
    copied.write_bytes(content)


def test_file_is_used_as_it_is_where_a_copy_gains_nothing_or_cannot_be_written(original, tmp_path, monkeypatch):
    small = write_model(tmp_path / "small.gguf")
    assert cpu_file(small) == small
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAGKIT_CACHE", str(tmp_path / "file"))
    assert cpu_file(original) == original
    assert open_model("smollm2", threads=1, window=64).count_text("a") > 0
