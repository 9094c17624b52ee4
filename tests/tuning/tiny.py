"""A language model of 2 layers in Hugging Face's form, made in a moment: it learns, and trains in seconds."""

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

COLOURS = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "sky": "blue", "gold": "yellow"}
WORDS = [*COLOURS, *COLOURS.values(), "what", "colour", "is", "the", "a", "?", "user", "assistant", "tell", "me"]
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }} {{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant {% endif %}"
)


def tiny_config(**changes):
    given = {
        "vocab_size": len(WORDS) + 3,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        # Far enough from each other for an adapter, which leaves them as they are, to tell them apart.
        "initializer_range": 0.3,
    }
    return LlamaConfig(**{**given, **changes})


def write_tiny_model(folder):
    """Write model and tokenizer; the same ones each time."""
    names = ["<|start|>", "<|end|>", "<unk>", *WORDS]
    tokenizer = Tokenizer(WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|start|>", eos_token="<|end|>", unk_token="<unk>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(str(folder))
    torch.manual_seed(0)
    LlamaForCausalLM(tiny_config()).save_pretrained(str(folder))
    return folder
