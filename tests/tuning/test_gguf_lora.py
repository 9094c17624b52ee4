"""The adapter in GGUF form: llama.cpp says what torch says."""

import numpy as np
import pytest

from ragkit.errors import ModelError
from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.records import Message
from ragkit.tuning.lora import gguf as gguf_lora
from ragkit.tuning.lora.adapter_run import adapter_tensors
from ragkit.tuning.lora.base_model import base_model
from ragkit.tuning.lora.gguf import write_gguf_lora
from ragkit.tuning.lora.training import LoraOptions, with_adapter
from tests.tuning.tiny import tiny_config

MESSAGES = [
    Message("system", "Answer with the shortest phrase copied from the text."),
    Message(
        "user", "The ferry to Kellmouth leaves at nine and crosses the bay in an hour.\n\nQuestion: When does it leave?"
    ),
]
REPLY = "at nine, and it takes an hour to cross the bay to Kellmouth"
QUANTISED = 0.12
"""Mean difference of log-probabilities (natural) that may be left between torch and llama.cpp. Weights are the same,
and torch reads them in float32 here; but llama.cpp rounds what goes into each layer to 8 bits in blocks of 32, to
multiply it with 4-bit weights. Measured: 0.054 without an adapter, 0.068 with this one, which itself changes them by
0.95, and 1.42 with the rows of queries and keys in the wrong order."""


@pytest.fixture(scope="module")
def base():
    return base_model("smollm2")


@pytest.fixture(scope="module")
def torch_model(base):
    """SmolLM2 in torch with an adapter whose query and key halves do much."""
    import torch

    model = with_adapter(base.load("cpu").float(), LoraOptions(rank=8, alpha=16))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "lora_B" in name:
                values.normal_(std=0.5 if "q_proj" in name or "k_proj" in name else 0.02)
    return model


def torch_logprobs(model, base):
    import torch

    tokens = base.tokens()
    prompt, reply = tokens.prompt(MESSAGES), tokens.tokenize(REPLY, False)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1].float()
    return logits.log_softmax(-1)[range(len(reply)), reply].numpy()


def llama_logprobs(base, lora=None):
    model = LlamaCppModel(base.path, threads=1, window=512, lora=lora)
    (found,) = model.score(MESSAGES, [REPLY])
    model.close()
    return np.array(found)


@pytest.mark.slow
def test_llama_cpp_and_torch_agree_on_an_adapter(base, torch_model, tmp_path, monkeypatch):
    write_gguf_lora(tmp_path / "lora.gguf", adapter_tensors(torch_model), 16, torch_model.config)
    wanted = torch_logprobs(torch_model, base)
    with torch_model.disable_adapter():
        plain = torch_logprobs(torch_model, base)
    without = llama_logprobs(base)
    found = llama_logprobs(base, tmp_path / "lora.gguf")
    assert abs(without - plain).mean() < QUANTISED
    assert abs(found - wanted).mean() < QUANTISED
    # The adapter does much, or agreement would say nothing.
    assert abs(found - without).mean() > 4 * QUANTISED

    monkeypatch.setattr(gguf_lora, "_PERMUTED", ())
    write_gguf_lora(tmp_path / "wrong.gguf", adapter_tensors(torch_model), 16, torch_model.config)
    assert abs(llama_logprobs(base, tmp_path / "wrong.gguf") - wanted).mean() > 4 * QUANTISED


def test_prompts_are_tokenised_as_llama_cpp_is_asked(base):
    tokens = base.tokens()
    model = LlamaCppModel(base.path, threads=1, window=512)
    tricky = [
        Message("user", "What does <|im_end|> mean?\nAnd 'naïve'?"),
        Message("assistant", "x"),
        Message("user", "y"),
    ]
    for messages in (MESSAGES, tricky):
        assert tokens.prompt(messages) == model._prompt(messages)
    assert tokens.reply("at nine")[:-1] == model._engine.tokenize("at nine")
    assert model._engine.ends(tokens.reply("at nine")[-1])
    assert tokens.text(tokens.reply("at nine")) == "at nine"
    model.close()


def test_rows_are_permuted_by_head():
    config = tiny_config()
    rows = np.arange(32, dtype=np.float32)[:, None]
    query = gguf_lora._permuted("layers.0.self_attn.q_proj", rows, config)[:, 0]
    assert query[:8].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    key = gguf_lora._permuted("layers.0.self_attn.k_proj", rows[:16], config)[:, 0]
    assert key[8:].tolist() == [8, 12, 9, 13, 10, 14, 11, 15]
    assert gguf_lora._permuted("layers.0.mlp.up_proj", rows, config) is rows


def test_what_llama_cpp_has_no_place_for_is_refused(tmp_path):
    values = np.zeros((2, 2), dtype=np.float32)
    file = tmp_path / "lora.gguf"
    with pytest.raises(ModelError, match="does not support an adapter"):
        write_gguf_lora(file, {"base_model.model.model.layers.0.odd.lora_A.weight": values}, 16, tiny_config())
    config = tiny_config()
    config.model_type = "mamba"
    with pytest.raises(ModelError, match="mamba"):
        write_gguf_lora(file, {}, 16, config)
    assert not file.exists()
