"""Rows of examples: each token once, and the loss and gradient of the examples one by one."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from ragkit.tuning.lora.packing import IGNORED, TokenExample, packed
from ragkit.tuning.lora.training import reply_loss
from tests.tuning.tiny import tiny_config

PASSAGE = tuple(range(5, 17))
EXAMPLES = [
    TokenExample((*PASSAGE, 3, 4), (7, 1)),
    TokenExample((*PASSAGE, 3, 8, 9), (10, 11, 1)),
    TokenExample((*PASSAGE, 6), (2, 1)),
    TokenExample((4, 3), (9, 1)),
    # The same prompt with another reply: what comes after it is not the same.
    TokenExample((4, 3), (8, 8, 1)),
    TokenExample((12,), (1,), weight=2.5),
]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = LlamaForCausalLM(tiny_config())
    made.set_attn_implementation("sdpa")
    return made


def alone(model, example):
    tokens = torch.tensor([[*example.prompt, *example.reply]])
    logits = model(input_ids=tokens).logits[0, len(example.prompt) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(example.reply), reduction="sum") * example.weight


@pytest.mark.parametrize("room", [16, 24, 40, 400])
def test_packed_loss_and_gradient_are_those_of_the_examples(model, room):
    gradients = []
    losses = []
    for sums in (
        [reply_loss(model, pack.tensors()) for pack in packed(EXAMPLES, room)],
        [alone(model, example) for example in EXAMPLES],
    ):
        model.zero_grad()
        total = torch.stack(sums).sum()
        total.backward()
        losses.append(total.item())
        gradients.append(model.model.layers[0].self_attn.k_proj.weight.grad.clone())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(*gradients, atol=1e-5)
    assert float(gradients[0].abs().max()) > 1e-3


def test_what_is_shared_is_read_once():
    (pack,) = packed(EXAMPLES[:3], 400)
    assert len(pack.tokens) == len(PASSAGE) + sum(len(example) - len(PASSAGE) for example in EXAMPLES[:3])
    assert pack.examples == 3


def test_a_longer_beginning_with_some_is_not_given_up_for_a_short_one_with_all():
    start = (1, 2)
    first, second = (*start, *range(20, 30)), (*start, *range(30, 40))
    examples = [TokenExample((*one, last), (5,)) for one in (first, second) for last in (6, 7)]
    assert sum(len(pack.tokens) for pack in packed(examples, 400)) == 2 * (12 + 2 * 2)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(4, 60))
def test_every_example_stands_in_one_row(seed, room):
    lot = random.Random(seed)
    examples = []
    for _ in range(lot.randint(1, 30)):
        prompt = tuple(lot.randint(0, 2) for _ in range(lot.randint(1, 12)))
        examples.append(TokenExample(prompt, tuple(lot.randint(3, 5) for _ in range(lot.randint(1, 4)))))
    packs = packed(examples, room)
    found = []
    for pack in packs:
        assert len(pack.tokens) <= max(room, max(map(len, examples)))
        shared = {g: [] for g in pack.groups}
        branches = {}
        for token, group, branch, label in zip(pack.tokens, pack.groups, pack.branches, pack.labels, strict=True):
            assert label in (token, IGNORED)
            if branch == 0:
                shared[group].append(token)
                assert label == IGNORED
            else:
                branches.setdefault((group, branch), []).append((token, label))
        for (group, _), own in branches.items():
            prompt = (*shared[group], *(token for token, label in own if label == IGNORED))
            found.append((prompt, tuple(token for token, label in own if label != IGNORED)))
    assert sorted(found) == sorted((example.prompt, example.reply) for example in examples)
    assert sum(pack.examples for pack in packs) == len(examples)
