"""GGUF files are read for transformers as its own reader reads them, but for the texts of the vocabulary."""

import gguf
import numpy as np
import pytest

from ragkit.errors import ModelFileError
from ragkit.tuning.lora.base_model import base_model
from ragkit.tuning.lora.gguf_reading import fast_gguf


@pytest.fixture
def file(tmp_path):
    """A GGUF file with values and lists of several types, and a tensor."""
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_block_count(2)
    writer.add_rope_freq_base(10_000.0)
    writer.add_token_list(["<s>", "naïve", "", "b"])
    writer.add_token_scores([0.0, -1.5, 2.0, 3.0])
    writer.add_token_types([3, 1, 1, 1])
    writer.add_array("llama.flags", [True, False])
    writer.add_tensor("token_embd.weight", np.arange(12, dtype=np.float32).reshape(3, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "model.gguf"


def test_fields_and_tensors_are_those_of_the_reader_of_gguf(file):
    plain = gguf.GGUFReader(file)
    with fast_gguf():
        fast = gguf.GGUFReader(file)
    assert gguf.GGUFReader is type(plain)
    assert list(fast.fields) == list(plain.fields)
    for name, field in plain.fields.items():
        assert fast.fields[name].types == field.types
        if name == "tokenizer.ggml.tokens":
            assert fast.fields[name].contents() == [""] * 4
        else:
            assert fast.fields[name].contents() == field.contents()
    np.testing.assert_array_equal(fast.tensors[0].data, plain.tensors[0].data)


def test_truncated_file_is_an_error(file):
    content = file.read_bytes()
    file.write_bytes(content[: content.index(b"<s>") + 4])
    with fast_gguf(), pytest.raises(ValueError, match="truncated"):
        gguf.GGUFReader(file)
    with pytest.raises(ModelFileError, match="can't be loaded for tuning"):
        base_model(file).load("cpu")
