"""Makes small real models with random weights, in the forms in which repositories of the Hub hold them."""

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

from ragkit.embedding import locate

WINDOW = 64
SIZE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@cache
def base():
    """Make the model and its graph once."""
    import torch
    from transformers import BertConfig, BertModel

    folder = Path(tempfile.mkdtemp(prefix="small-encoder-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=30522, max_position_embeddings=WINDOW, initializer_range=0.5, **SIZE)
    model = BertModel(config).eval()
    model.save_pretrained(folder / "model")
    export(model, folder / "model.onnx")
    return folder


def make_encoder(folder, *, pooling="mean", prompts=None, onnx=None, weights=True):
    """Save a BERT with the default model's tokenizer; ``onnx`` is where its float graph goes."""
    shutil.copytree(base() / "model", folder)
    copy_tokenizer(folder, WINDOW)
    if pooling is not None:
        names = {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken"}
        modes = {f"pooling_mode_{name}": mode == pooling for mode, name in names.items()}
        write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **modes})
        kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
        write(
            folder / "modules.json",
            [
                {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for number, (path, kind) in enumerate(kinds)
            ],
        )
        write(folder / "sentence_bert_config.json", {"max_seq_length": WINDOW, "do_lower_case": False})
    if prompts is not None:
        write(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    if onnx is not None:
        (folder / onnx).parent.mkdir(exist_ok=True)
        shutil.copy(base() / "model.onnx", folder / onnx)
    if not weights:
        (folder / "model.safetensors").unlink()
    return folder


def make_cross_encoder(folder):
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(vocab_size=30522, max_position_embeddings=WINDOW, num_labels=1, initializer_range=0.5, **SIZE)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    export(model, folder / "onnx" / "model.onnx")
    copy_tokenizer(folder, WINDOW)
    return folder


def repository(folder):
    """Return the files of a folder as a repository has them."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def copy_tokenizer(folder, window):
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(locate().folder / name, folder / name)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    write(folder / "tokenizer_config.json", settings | {"model_max_length": window})


def export(model, path):
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = model

        def forward(self, input_ids, attention_mask, token_type_ids):
            given = {"attention_mask": attention_mask, "token_type_ids": token_type_ids}
            return self.encoder(input_ids=input_ids, **given)[0]

    path.parent.mkdir(parents=True, exist_ok=True)
    model.config._attn_implementation = "eager"
    ids = torch.ones(2, 16, dtype=torch.int64)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {name: {0: "batch", 1: "tokens"} for name in names} | {"output": {0: "batch"}}
    if not hasattr(model, "classifier"):
        axes["output"] = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        Encoder().eval(), (ids, ids, torch.zeros_like(ids)), str(path), dynamo=False, opset_version=17,
        input_names=names, output_names=["output"], dynamic_axes=axes,
    )  # fmt: skip


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
