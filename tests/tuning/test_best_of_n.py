"""Best of n and rejection sampling, with a real model."""

import json

import numpy as np
import pytest

from ragkit.errors import ModelError, ModelOutputError, PromptOverflowError, SettingsError
from ragkit.models import GenerationOptions, complete
from ragkit.records import Message
from ragkit.tuning.rewards.best_of_n import BestOfN, rejection_samples
from ragkit.tuning.rewards.sampling import draw, draw_all

ASKED = (Message("user", "Name a colour. Answer with one word."),)
OPTIONS = GenerationOptions(max_tokens=6, temperature=1.0, seed=3)


@pytest.fixture(scope="module")
def model(smollm2):
    return smollm2


def longest(prompt, answers):
    return [len(answer) for answer in answers]


def shortest(prompt, answers):
    return [-len(answer) for answer in answers]


def test_best_of_the_same_draws_is_given_whole(model):
    drawn = [one.text for one in draw(model, ASKED, 4, OPTIONS)]
    assert len(set(map(len, drawn))) > 1
    deltas = list(BestOfN(model, 4, score=longest).stream(ASKED, OPTIONS))
    assert deltas[0].text == max(drawn, key=len)
    assert "".join(delta.text for delta in deltas[1:]) == ""
    assert complete(BestOfN(model, 4, score=shortest), ASKED, OPTIONS).text == min(drawn, key=len)


def test_usage_is_of_all_draws(model):
    drawn = draw(model, ASKED, 3, OPTIONS)
    found = complete(BestOfN(model, 3, score=longest), ASKED, OPTIONS).usage
    assert found.prompt_tokens == 3 * model.count_tokens(ASKED)
    assert found.completion_tokens == sum(one.usage.completion_tokens for one in drawn)
    assert found.cost == 0.0


def test_greedy_call_draws_at_its_own_temperature_and_repeats(model):
    best = BestOfN(model, 4, score=longest, temperature=1.2)
    greedy = GenerationOptions(max_tokens=6)
    first = complete(best, ASKED, greedy)
    assert complete(best, ASKED, greedy).text == first.text
    seen = []
    spy = BestOfN(model, 4, score=lambda prompt, answers: seen.extend(answers) or longest(prompt, answers))
    complete(spy, ASKED, greedy)
    assert len(seen) == len(set(seen)) > 1


def test_logprobs_are_those_of_the_best(model):
    options = GenerationOptions(max_tokens=6, temperature=1.0, logprobs=True)
    best = max(draw(model, ASKED, 3, options), key=lambda one: len(one.text))
    found = complete(BestOfN(model, 3, score=longest), ASKED, options)
    assert found.text == best.text
    assert found.logprobs == pytest.approx(best.logprobs)
    assert len(found.logprobs) > 0


def test_schema_holds_and_a_draw_that_breaks_it_is_no_answer(model):
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    options = GenerationOptions(max_tokens=30, temperature=1.0, json_schema=schema)
    assert json.loads(complete(BestOfN(model, 2, score=longest), ASKED, options).text)["colour"] in ("red", "blue")
    with pytest.raises(ModelOutputError):
        complete(BestOfN(model, 2, score=longest), ASKED, GenerationOptions(max_tokens=2, json_schema=schema))


def test_score_that_is_none_is_refused(model):
    for wrong in (lambda prompt, answers: [1.0], lambda prompt, answers: [np.nan] * len(answers)):
        with pytest.raises(ModelError, match="finite number for each"):
            complete(BestOfN(model, 4, score=wrong), ASKED, OPTIONS)


def test_settings_that_can_t_differ_are_refused(model):
    for wrong in ({"n": 0}, {"n": 2, "temperature": 0.0}):
        with pytest.raises(SettingsError, match="must be"):
            BestOfN(model, score=longest, **wrong)


def test_prompt_without_room_is_told(model):
    with pytest.raises(PromptOverflowError):
        complete(BestOfN(model, 2, score=longest), (Message("user", "word " * 20_000),))


def test_rejection_keeps_what_passes_and_says_what_is_left(model):
    inputs = ["Name a colour. Answer with one word.", "Write the number seven."]

    drawn = dict.fromkeys(draw_all(model, inputs[:1], 6, OPTIONS)[0].replies)
    good = [text for text in drawn if " " in text]
    assert 0 < len(good) < len(drawn)
    found = rejection_samples(
        model, inputs, lambda asked, answer: asked == inputs[0] and " " in answer, n=6, options=OPTIONS, max_per_input=2
    )
    assert [(example.input, example.output) for example in found.examples] == [(inputs[0], text) for text in good[:2]]
    assert found.rejected == inputs[1:]
    assert found.inputs == 2


class _Longest:
    name = "longest"

    def score(self, prompt, answers):
        return np.array([float(len(answer)) for answer in answers])


def test_rejection_by_reward_takes_the_best_above_the_threshold(model):
    inputs = [ASKED[0].content]
    drawn = [text for text in draw_all(model, inputs, 4, OPTIONS)[0].replies if text]
    best = max(drawn, key=len)
    found = rejection_samples(model, inputs, _Longest(), n=4, threshold=float(len(best)), options=OPTIONS)
    assert [(e.output, e.metadata["reward"]) for e in found.examples] == [(best, len(best))]
    nothing = rejection_samples(model, inputs, _Longest(), n=4, threshold=len(best) + 1.0, options=OPTIONS)
    assert (nothing.examples, nothing.rejected) == ([], inputs)
    with pytest.raises(SettingsError, match="threshold"):
        rejection_samples(model, inputs, _Longest(), n=4)


class _Counting:
    """A real model, that counts how often it is asked."""

    def __init__(self, model):
        self._model, self.name, self.window, self.calls = model, model.name, model.window, 0

    def count_tokens(self, messages):
        return self._model.count_tokens(messages)

    def stream(self, messages, options):
        self.calls += 1
        return self._model.stream(messages, options)


def test_broken_off_run_goes_on_from_its_log(model, tmp_path):
    inputs, log = ["Name a colour.", "Name a fruit.", "Name a river."], tmp_path / "samples.jsonl"
    whole = draw_all(model, inputs, 2, OPTIONS)
    draw_all(model, inputs[:2], 2, OPTIONS, log=log)
    # The last line is cut, as a kill leaves it.
    log.write_bytes(log.read_bytes()[:-9])
    counting, steps = _Counting(model), []
    assert draw_all(counting, inputs, 2, OPTIONS, log=log, progress=steps.append) == whole
    assert counting.calls == 4
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert draw_all(counting, inputs, 2, OPTIONS, log=log) == whole
    assert counting.calls == 4
    with pytest.raises(SettingsError, match="other settings"):
        draw_all(model, inputs, 3, OPTIONS, log=log)
    other = tmp_path / "other.jsonl"
    other.write_text('{"prompt": 1}\n')
    with pytest.raises(SettingsError):
        draw_all(model, inputs, 2, OPTIONS, log=other)
