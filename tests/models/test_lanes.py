"""Several replies at once: each is what it would be alone, and none disturbs another."""

import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest

from ragkit.errors import ModelError, ModelStoppedError, SettingsError
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.lanes import Step
from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.models.prefixes import SavedState, SavedStates
from ragkit.models.stopping import stoppable
from ragkit.records import Message
from tests.models.small_gguf import write_model
from tests.models.test_closing import watch

ABOUT = "The shop opens at nine. "
PROMPTS = [[Message("user", ABOUT + text)] for text in ("When does it open?", "Say hello.", "How long are the days?")]
# With log-probabilities there is a delta for each token, also for one without text.
SHORT = GenerationOptions(max_tokens=12, logprobs=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("gguf") / "small.gguf")


@pytest.fixture
def model(path):
    """A model with random weights; three replies at once."""
    opened = LlamaCppModel(path, threads=1, parallel=3)
    yield opened
    opened.close()


def use_lanes(model):
    """Create the lanes of a model, as a second call at the same time does."""
    first = model.stream(PROMPTS[0], SHORT)
    next(first)
    complete(model, PROMPTS[1], SHORT)
    first.close()
    assert model._lanes is not None


def greedy(logits, cached):
    token = int(np.argmax(logits))
    return Step(token, None, cached, ends=False)


def in_threads(calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def shortfall(engine, prompt, tokens):
    """How much less likely than the best token a token of a reply is at most, if it is evaluated alone."""
    differences = []
    for length, token in enumerate(tokens):
        logits, _ = engine.evaluate([*prompt, *tokens[:length]])
        differences.append(logits.max() - logits[token])
    return max(differences)


def test_replies_together_are_those_of_each_alone_except_at_near_ties():
    # A batch of several rows is computed in another order than a single one, so logits differ in the last digits.
    model = open_model("smollm2", threads=1, window=256)
    engine = model._engine
    lanes = engine.lanes(3)
    prompts = [model._prompt(messages) for messages in PROMPTS]
    replies = [[], [], []]

    def read(number):
        replies[number] += [step.token for step in lanes.join(prompts[number], greedy, 6, None)]

    in_threads([partial(read, number) for number in range(3)])
    for prompt, tokens in zip(prompts, replies, strict=True):
        assert len(tokens) == 6
        assert shortfall(engine, prompt, tokens) < 0.3
    model.close()


def test_first_call_alone_creates_no_lanes(model):
    complete(model, PROMPTS[0], SHORT)
    assert model._lanes is None
    use_lanes(model)


def test_prompt_that_begins_like_another_evaluates_only_the_rest(model):
    use_lanes(model)
    alone = LlamaCppModel(model.path, threads=1)
    streams = [model.stream(messages, SHORT) for messages in PROMPTS]
    # All three begin with the same sentence; the second and third get it from the first, which still runs.
    last = ["", "", ""]
    for number, stream in enumerate(streams):
        for delta in stream:
            last[number] = delta.usage
    assert [usage.cached_tokens >= len(ABOUT) for usage in last[1:]] == [True, True]
    other = [Message("user", "No such beginning here, none at all, in any way.")]
    for text in ("", "x", "y"):
        complete(model, [Message("user", text + other[0].content)], SHORT)
    # No lane has it any more.
    again = complete(model, PROMPTS[2], SHORT)
    assert again.usage.cached_tokens == again.usage.prompt_tokens - 1
    assert again.text == complete(alone, PROMPTS[2], SHORT).text
    alone.close()


def test_stream_that_is_closed_leaves_the_others_as_they_were(model):
    use_lanes(model)
    wanted = [complete(model, messages, SHORT).text for messages in PROMPTS]
    streams = [model.stream(messages, SHORT) for messages in PROMPTS]
    texts = [next(stream).text for stream in streams]
    streams[1].close()
    for number in (2, 0):
        texts[number] += "".join(delta.text for delta in streams[number])
    assert [texts[0], texts[2]] == [wanted[0], wanted[2]]
    assert complete(model, PROMPTS[1], SHORT).text == wanted[1]


def test_call_that_is_stopped_ends_and_its_lane_is_free(model):
    use_lanes(model)
    for _ in range(4):
        with stoppable(lambda: True), pytest.raises(ModelStoppedError):
            next(model.stream(PROMPTS[0], SHORT))
    assert model._lanes.join([1, 2, 3], greedy, 9, None) is not None


def test_more_replies_than_lanes_and_a_long_prompt_are_generated_alone(model):
    use_lanes(model)
    streams = [model.stream(PROMPTS[number % 3], SHORT) for number in range(5)]
    texts = [next(stream).text for stream in streams]
    for number, stream in enumerate(streams):
        texts[number] += "".join(delta.text for delta in stream)
    assert texts[3:] == texts[:2]
    assert model._lanes.join([5] * 250, greedy, 7, None) is None


def test_long_prompt_holds_up_neither_running_replies_nor_short_prompts(model):
    use_lanes(model)
    lanes = model._lanes
    running = lanes.join([5] * 9, greedy, 60, None)
    next(running)
    long, short = lanes.join([7] * 190, greedy, 9, None), lanes.join([9] * 20, greedy, 9, None)
    next(short)
    first, second, _ = lanes._open
    assert second.made == 0
    already = len(first.steps)
    next(long)
    assert len(first.steps) >= already + 4


def test_reply_whose_token_can_not_be_chosen_fails_alone(model):
    def fails(logits, cached):
        raise ValueError("probabilities contain NaN")

    use_lanes(model)
    lanes, prompt = model._lanes, model._prompt(PROMPTS[0])
    good, bad = lanes.join(prompt, greedy, 20, None), lanes.join(prompt, fails, 20, None)
    tokens = [next(good).token]
    with pytest.raises(ValueError, match="NaN"):
        next(bad)
    tokens += [step.token for step in good]
    assert len(tokens) == 20


def test_sampled_reply_is_the_same_for_the_same_seed(model):
    hot = GenerationOptions(max_tokens=12, temperature=1.0, seed=3, logprobs=True)
    alone = complete(model, PROMPTS[0], hot).text
    use_lanes(model)
    assert complete(model, PROMPTS[0], hot).text == alone


def test_closing_ends_all_replies_and_frees_no_memory_in_use(model):
    library = watch(model, None)
    use_lanes(model)
    begun = threading.Barrier(4)
    said = []

    def read(messages):
        try:
            for number, _ in enumerate(model.stream(messages, GenerationOptions(max_tokens=150, logprobs=True))):
                if number == 0:
                    begun.wait(60)
        except ModelError as error:
            said.append(str(error))

    threads = [threading.Thread(target=read, args=(messages,)) for messages in PROMPTS]
    for thread in threads:
        thread.start()
    begun.wait(60)
    model.close()
    for thread in threads:
        thread.join(60)
    assert all("closed" in text for text in said)
    assert library.freed.is_set()
    assert not library.freed_in_use
    with pytest.raises(ModelError, match="closed"):
        complete(model, PROMPTS[0], SHORT)


MEMORY = """
import logging, resource, sys
from pathlib import Path
from ragkit.models import GenerationOptions, complete
from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.records import Message
logging.basicConfig(format="%(message)s", stream=sys.stdout)
ask, short = [Message("user", "Hi there.")], GenerationOptions(max_tokens=3, logprobs=True)
model = LlamaCppModel(Path(sys.argv[1]), threads=1, parallel=64)
first = model.stream(ask, short)
next(first)
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + 2_000_000,) * 2)
complete(model, ask, short)
print(model.parallel)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_without_memory_for_lanes_replies_are_generated_one_at_a_time(path):
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    warning, result = done.stdout.splitlines()
    assert "one reply at a time: A context of 16384 tokens" in warning
    assert result == "1"


def test_parallel_below_one_is_refused(path):
    with pytest.raises(SettingsError, match="got 0"):
        LlamaCppModel(path, parallel=0)


def test_saved_states_keep_the_recent_ones_and_none_that_another_begins_with():
    def saved(tokens):
        return SavedState(np.array(tokens, dtype=np.int32), np.zeros(40, dtype=np.uint8))

    kept = SavedStates(100)
    one, two, three = ([number, *range(100)] for number in (1, 2, 3))
    assert kept.wants(one, 40)
    assert not kept.wants(one, 60)
    assert not kept.wants(one[:9], 40)
    kept.add(saved(one[:50]))
    kept.add(saved(one))
    assert not kept.wants(one[:50], 40)
    kept.add(saved(two))
    assert kept.best([*one[:60], 7])[1] == 60
    # Of one and two, the second is now the one that was used less recently.
    kept.add(saved(three))
    assert [kept.best(tokens)[1] for tokens in (one, two, three)] == [101, 0, 101]
