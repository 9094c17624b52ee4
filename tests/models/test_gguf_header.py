"""The size of a model from the header of its file."""

import struct

import pytest

from ragkit.errors import ModelFileError, ModelNotFoundError
from ragkit.models import installed_models, open_model
from ragkit.models.files import model_path
from ragkit.models.gguf_header import is_embedding_model, parameter_count
from ragkit.models.opening import best_installed, parameters_of


def test_parameter_count_is_that_of_the_loaded_model():
    assert parameter_count(model_path("smollm2")) == open_model("smollm2", threads=1).parameters
    assert parameters_of("smollm2") == parameters_of(str(model_path("smollm2")))


@pytest.mark.parametrize("name", ["openai:gpt-4o-mini", "scripted", "tuned:support"])
def test_parameters_are_unknown_where_the_name_does_not_say(name):
    assert parameters_of(name) is None


@pytest.mark.parametrize("size", [4, 20, 30, 5000])
def test_truncated_header(tmp_path, size):
    path = tmp_path / "cut.gguf"
    path.write_bytes(model_path("smollm2").read_bytes()[:size])
    with pytest.raises(ModelFileError, match="damaged"):
        parameter_count(path)


@pytest.mark.parametrize("at", range(8, 400, 7))
def test_damaged_header_is_an_error_or_a_number(tmp_path, at):
    head = bytearray(model_path("smollm2").read_bytes()[:20_000])
    head[at : at + 6] = b"\xff" * 6
    path = tmp_path / "damaged.gguf"
    path.write_bytes(head)
    with pytest.raises(ModelFileError, match="damaged"):
        parameter_count(path)


def test_missing_file():
    with pytest.raises(ModelNotFoundError):
        parameters_of("/nowhere/gone.gguf")


def header(*values):
    """Return the beginning of a GGUF file without tensors: text and numbers by their keys."""
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(values))
    for key, value in values:
        data += struct.pack("<Q", len(key)) + key.encode()
        if isinstance(value, str):
            data += struct.pack("<IQ", 8, len(value)) + value.encode()
        else:
            data += struct.pack("<II", 4, value)
    return data


@pytest.mark.parametrize(
    ("values", "embeds"),
    [
        ([("general.architecture", "bert"), ("bert.pooling_type", 1)], True),
        ([("general.name", "jina"), ("general.architecture", "jina-bert-v2")], True),
        ([("general.architecture", "qwen3"), ("qwen3.block_count", 28), ("qwen3.pooling_type", 3)], True),
        ([("general.architecture", "gemma"), ("gemma.pooling_type", 0), ("tokenizer.ggml.model", "bert")], False),
        ([("general.architecture", "llama"), ("tokenizer.ggml.model", "gpt2"), ("llama.pooling_type", 1)], False),
    ],
)
def test_embedding_models_are_told_from_their_header(tmp_path, values, embeds):
    path = tmp_path / "some.gguf"
    path.write_bytes(header(*values))
    assert is_embedding_model(path) is embeds
    for size in range(0, len(path.read_bytes()), 5):
        path.write_bytes(header(*values)[:size])
        assert is_embedding_model(path) in (embeds, False)


def test_embedding_model_is_listed_as_one_and_never_chosen_to_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_CACHE", str(tmp_path))
    before = best_installed()
    folder = tmp_path / "models"
    folder.mkdir()
    # Larger than the packaged model: of the chat models, the largest is chosen.
    with (folder / "nomic.gguf").open("wb") as file:
        file.write(header(("general.architecture", "nomic-bert"), ("nomic-bert.pooling_type", 1)))
        file.truncate(900_000_000)
    (own,) = [info for info in installed_models() if info.name == "nomic"]
    assert (own.embedding, own.chat) == (True, False)
    assert best_installed() == before
    assert not is_embedding_model(model_path("smollm2"))
