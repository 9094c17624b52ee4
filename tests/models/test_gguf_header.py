"""The size of a model from the header of its file."""

import pytest

from ragkit.errors import ModelFileError, ModelNotFoundError
from ragkit.models import open_model
from ragkit.models.files import model_path
from ragkit.models.gguf_header import parameter_count
from ragkit.models.opening import parameters_of


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
