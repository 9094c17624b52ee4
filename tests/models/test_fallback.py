"""Models that back each other up: one reply or a clear error, in time, and the reasons told truly."""

import json
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import (
    ModelBudgetError,
    ModelChainError,
    ModelError,
    ModelNotFoundError,
    ModelOutputError,
    ModelRateLimitError,
    ModelTimeoutError,
    ModelUnavailableError,
    PromptError,
    PromptOverflowError,
    SettingsError,
)
from ragkit.models import Delta, GenerationOptions, ScoringModel, complete
from ragkit.models.api import ApiOptions, OpenAICompatibleModel
from ragkit.models.chain.breaker import Breaker
from ragkit.models.chain.fallback import Budget, FallbackModel, FallbackPolicy, Member
from ragkit.models.chain.policy import token_confidence
from ragkit.models.chain.route import answering_model, reason_of, why
from ragkit.models.scripted import ScriptedModel
from ragkit.records import Message, Usage
from tests.models.fault_server import REPLY, FaultServer, closed_port, fault_process

ASK = [Message("system", "Be brief."), Message("user", "When does the last bus leave, and from which stop?")]
KEY = "sk-test-5up3r53cr3t"
PLAIN = GenerationOptions()
GOOD = "At ten past eleven."


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@dataclass
class Staged(ScriptedModel):
    """Does what its script says, a step a piece: text, an error to raise, or seconds that pass first."""

    steps: list
    name: str = "staged"
    clock: Clock = field(default_factory=Clock)
    window: int = 4096
    logprob: float | None = None
    calls: int = 0
    ends: bool = True

    def stream(self, messages, options=PLAIN):
        self.calls += 1
        made = 0
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, threading.Event):
                step.wait(60)
            elif isinstance(step, str):
                made += 1
                yield Delta(step, self.logprob)
            else:
                self.clock.now += step
        if self.ends:
            yield Delta("", None, "stop", Usage(self.count_tokens(messages), made, 0, 0.001))


def outcomes(route):
    return [(attempt.model, attempt.outcome) for attempt in route]


def endpoint(server_or_url, **options):
    url = server_or_url if isinstance(server_or_url, str) else server_or_url.url
    return OpenAICompatibleModel("tiny", url, KEY, ApiOptions(**{"max_retries": 0, "timeout": 5.0, **options}))


def failing(error=None, name="first"):
    return Staged([error or ModelUnavailableError("http://x/v1 can't be reached.", "Start it.")], name)


# What goes on to the next model, and what is said of it.


def test_first_model_answers_where_it_can():
    first, second = Staged([GOOD], "first"), Staged(["No."], "second")
    reply = complete(FallbackModel([first, second]), ASK)
    assert reply.text == GOOD
    assert outcomes(reply.route) == [("first", "answered")]
    assert (reply.route[0].usage, second.calls) == (reply.usage, 0)


@pytest.mark.parametrize(
    "error",
    [
        ModelUnavailableError("http://x/v1 answered 503.", "Try again."),
        ModelOutputError("no protocol", "Check."),
        PromptOverflowError("The prompt has 9 tokens and the window is 8.", "Send less."),
        SettingsError("It can't be held to a JSON schema.", "Use another."),
        MemoryError(),
        ConnectionResetError(104, "reset"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_one_model_is_answered_by_the_next(error):
    chain = FallbackModel([failing(error), Staged([GOOD], "second")])
    reply = complete(chain, ASK)
    assert reply.text == GOOD
    assert outcomes(reply.route) == [("first", "failed"), ("second", "answered")]
    told = getattr(error, "message", type(error).__name__)
    assert told.rstrip(".") in reply.route[0].reason
    assert reply.route[0].reason in why(reply.route)
    assert answering_model(reply.route) == "second"


def test_log_has_the_error_of_the_first_model_though_the_second_answers(caplog):
    chain = FallbackModel([failing(ValueError(f"{KEY} for {ASK[1].content}")), Staged([GOOD], "second")])
    assert complete(chain, ASK).text == GOOD
    assert "failed: it failed with ValueError" in caplog.text
    assert "in stream" in caplog.text, "where in the code"
    assert KEY not in caplog.text
    assert ASK[1].content not in caplog.text


def test_callers_own_error_asks_no_other_model():
    second = Staged([GOOD])
    with pytest.raises(PromptError, match="no messages"):
        complete(FallbackModel([ScriptedModel("x"), second]), [])
    with pytest.raises(PromptError, match="odd"):
        complete(FallbackModel([failing(PromptError("odd roles", "Mend.")), second]), ASK)
    assert second.calls == 0


def test_model_whose_file_is_gone_or_that_is_unknown_is_a_failed_one(tmp_path):
    chain = FallbackModel([str(tmp_path / "gone.gguf"), "no-such-model", ScriptedModel(GOOD)])
    reply = complete(chain, ASK)
    assert [attempt.outcome for attempt in reply.route] == ["failed", "failed", "answered"]
    assert "gone.gguf" in reply.route[0].reason
    with pytest.raises(ModelChainError, match=r"gone\.gguf"):
        complete(FallbackModel([str(tmp_path / "gone.gguf")]), ASK)
    with pytest.raises(ModelNotFoundError, match=r"gone\.gguf"):
        FallbackModel([str(tmp_path / "gone.gguf")]).window  # noqa: B018


@pytest.mark.parametrize("steps", [[], ["  ", "\n"]])
def test_empty_reply_goes_on_unless_it_is_allowed(steps):
    reply = complete(FallbackModel([Staged(steps, "first"), Staged([GOOD], "second")]), ASK)
    assert outcomes(reply.route) == [("first", "rejected"), ("second", "answered")]
    assert reply.text == GOOD
    allowed = FallbackModel([Staged(steps, "first"), Staged([GOOD])], FallbackPolicy(allow_empty=True))
    assert complete(allowed, ASK).text == "".join(steps)


def test_reply_that_the_check_refuses_is_never_given_out():
    def check(reply):
        return None if ":" in reply.text else f"no time of day in {len(reply.text)} letters"

    policy = FallbackPolicy(check=check)
    reply = complete(FallbackModel([Staged(["Soon", "."], "first"), Staged(["At 23:10."], "second")], policy), ASK)
    assert reply.text == "At 23:10."
    assert "no time of day in 5 letters" in reply.route[0].reason
    with pytest.raises(ModelChainError, match="no time of day"):
        complete(FallbackModel([Staged(["Soon."], "first")], policy), ASK)


def test_reply_that_breaks_the_schema_goes_on_though_the_model_did_not_look():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    chain = FallbackModel([Staged(['{"a": ', '"x"}'], "first"), Staged(['{"a": 3}'], "second")])
    reply = complete(chain, ASK, GenerationOptions(json_schema=schema))
    assert json.loads(reply.text) == {"a": 3}
    assert "$.a" in reply.route[0].reason


@pytest.mark.parametrize("by", ["mean", "lowest", "p10"])
def test_unsure_reply_goes_on_and_the_last_models_word_stands(by):
    policy = FallbackPolicy(confidence=-1.0, confidence_by=by)
    unsure = Staged(["Maybe."], "first", logprob=-3.0)
    reply = complete(FallbackModel([unsure, Staged(["Or not."], "second", logprob=-9.0)], policy), ASK)
    assert reply.text == "Or not."
    assert "-3, is below -1" in reply.route[0].reason
    sure = Staged([GOOD], "first", logprob=-0.5)
    assert complete(FallbackModel([sure, unsure], policy), ASK).text == GOOD
    silent = Staged([GOOD], "first", logprob=None)
    assert complete(FallbackModel([silent, unsure], policy), ASK).text == GOOD


def test_unsure_reply_is_given_where_no_other_model_answers():
    policy = FallbackPolicy(confidence=-1.0)
    chain = FallbackModel([Staged(["Maybe."], "first", logprob=-3.0), failing(name="second")], policy)
    reply = complete(chain, ASK)
    assert reply.text == "Maybe."
    assert outcomes(reply.route) == [("first", "answered"), ("second", "failed")]
    assert "below -1" in reply.route[0].reason
    assert "no other model answered" in why(reply.route)


def test_confidence_is_of_the_tokens():
    logprobs = [-0.1] * 9 + [-5.0] + [-0.2] * 11
    assert token_confidence(logprobs, "lowest") == -5.0
    assert token_confidence(logprobs, "p10") == -0.2
    assert token_confidence(logprobs, "mean") == pytest.approx(sum(logprobs) / 21)


def test_real_model_is_judged_by_its_own_log_probabilities(smollm2):
    options = GenerationOptions(max_tokens=6)
    alone = complete(smollm2, ASK, GenerationOptions(max_tokens=6, logprobs=True))
    mean = token_confidence(alone.logprobs, "mean")
    for least, expected in ((mean - 0.1, alone.text), (mean + 0.1, GOOD)):
        chain = FallbackModel([smollm2, ScriptedModel(GOOD)], FallbackPolicy(confidence=least))
        assert complete(chain, ASK, options).text == expected


# Time.


def test_model_that_is_late_leaves_time_for_the_next():
    clock = Clock()
    late = Staged([6.0, "Too late."], "first", clock)
    second = Staged([2.0, GOOD], "second", clock)
    reply = complete(FallbackModel([late, second], FallbackPolicy(timeout=10.0), clock=clock), ASK)
    assert reply.text == GOOD
    assert outcomes(reply.route) == [("first", "timed out"), ("second", "answered")]
    assert reply.route[0].seconds == 6.0
    assert "sent nothing within 4.95 s" in reply.route[0].reason


def test_last_model_has_all_the_time_that_is_left():
    clock = Clock()
    chain = FallbackModel([Staged([9.0, GOOD], "only", clock)], FallbackPolicy(timeout=10.0), clock=clock)
    assert complete(chain, ASK).text == GOOD
    with pytest.raises(ModelTimeoutError, match="within 5 s"):
        complete(FallbackModel([Staged([9.0], "only", clock)], FallbackPolicy(timeout=5.0), clock=clock), ASK)


def test_first_token_and_member_timeouts_are_enforced():
    clock = Clock()
    slow = [2.0, "A", 2.0, "B"]
    policy = FallbackPolicy(timeout=100.0, first_token_timeout=1.0)
    reply = complete(FallbackModel([Staged(slow, "first", clock), ScriptedModel(GOOD)], policy, clock=clock), ASK)
    assert "sent nothing within 1 s" in reply.route[0].reason
    member = Member(Staged(slow, "first", clock), timeout=3.0)
    policy = FallbackPolicy(timeout=100.0, check=lambda reply: None)
    reply = complete(FallbackModel([member, ScriptedModel(GOOD)], policy, clock=clock), ASK)
    assert "did not finish within 3 s" in reply.route[0].reason
    # Once a piece was given out, the reply has the chain's whole time.
    chain = FallbackModel([member, ScriptedModel(GOOD)], FallbackPolicy(timeout=100.0), clock=clock)
    assert complete(chain, ASK).text == "AB"


def test_no_model_is_begun_after_the_deadline():
    clock = Clock()
    late, second = Staged([50.0], "first", clock), Staged([GOOD], "second", clock)
    with pytest.raises(
        ModelTimeoutError, match=r"first: timed out.*second: skipped, the time limit of 10 s has passed"
    ) as caught:
        complete(FallbackModel([late, second], FallbackPolicy(timeout=10.0), clock=clock), ASK)
    assert second.calls == 0
    assert caught.value.retry
    assert outcomes(caught.value.attempts) == [("first", "timed out"), ("second", "skipped")]


def test_model_that_hangs_is_left_behind_and_asked_again_once_it_has_ended():
    gate = threading.Event()
    hanging = Staged([gate, "Here."], "first")
    chain = FallbackModel([hanging, ScriptedModel(GOOD)], FallbackPolicy(timeout=1.0))
    try:
        reply = complete(chain, ASK)
        assert outcomes(reply.route) == [("first", "timed out"), ("scripted", "answered")]
        reply = complete(chain, ASK)
        assert "still running" in reply.route[0].reason
        assert hanging.calls == 1
    finally:
        gate.set()
    for thread in threading.enumerate():
        if thread.name == "ragkit-model":
            thread.join(10)
    assert complete(chain, ASK).text == "Here."
    assert hanging.calls == 2


def test_local_model_stops_at_its_next_token_when_it_is_left(smollm2):
    clock = Clock()

    class Impatient(ScriptedModel):
        """SmolLM2, of which each token takes a second of the clock."""

        name, window = "slow smollm2", smollm2.window

        def stream(self, messages, options=PLAIN):
            for delta in smollm2.stream(messages, options):
                clock.now += 1.0
                yield delta

    policy = FallbackPolicy(timeout=8.0, check=lambda reply: None)
    chain = FallbackModel([Impatient(), ScriptedModel(GOOD)], policy, clock=clock)
    reply = complete(chain, ASK, GenerationOptions(max_tokens=2000))
    assert outcomes(reply.route) == [("slow smollm2", "timed out"), ("scripted", "answered")]
    for thread in threading.enumerate():
        if thread.name == "ragkit-model":
            thread.join(60)
    assert clock.now < 100.0 + 1000
    assert smollm2._turn.acquire(blocking=False)
    smollm2._turn.release()


# A partial reply is never doubled.


@pytest.mark.parametrize("error", [ModelUnavailableError("http://x/v1 broke off.", "Try again."), ValueError("bug")])
def test_nothing_follows_a_reply_that_breaks_off(error):
    second = Staged([GOOD], "second")
    chain = FallbackModel([Staged(["At ", "ten ", error], "first"), second])
    given = []
    with pytest.raises(ModelError, match="7 characters of the reply were already sent") as caught:
        for delta in chain.stream(ASK):
            given.append(delta.text)
    assert "".join(given) == "At ten "
    assert caught.value.given == 7
    assert outcomes(caught.value.attempts) == [("first", "cut")]
    assert caught.value.attempts[0].usage.completion_tokens == 2
    assert second.calls == 0


def test_reply_without_an_end_is_an_error():
    chain = FallbackModel([Staged([" "], "first", ends=False), Staged(["Half"], "second", ends=False)])
    with pytest.raises(ModelUnavailableError, match=r"ended the stream.*4 characters"):
        complete(chain, ASK)


def test_reply_that_never_ends_is_cut():
    endless = Staged(["word " * 100] * 1000, "first")
    reply = complete(
        FallbackModel([endless, ScriptedModel(GOOD)], FallbackPolicy(check=lambda reply: None)),
        ASK,
        GenerationOptions(max_tokens=10),
    )
    assert reply.text == GOOD
    assert "sent more than 2,048 characters" in reply.route[0].reason


step = st.one_of(
    st.sampled_from(["a ", "bc ", " "]),
    st.sampled_from([1.0, 400.0]),
    st.sampled_from(["unavailable", "limit", "bug"]),
)
script = st.lists(step, max_size=5)


@settings(max_examples=150)
@given(scripts=st.lists(script, min_size=1, max_size=3), whole=st.booleans(), ends=st.booleans())
def test_any_chain_gives_one_reply_or_the_beginning_of_one_and_an_error(scripts, whole, ends):
    clock = Clock()
    errors = {"unavailable": ModelUnavailableError, "limit": ModelRateLimitError}

    def steps(script):
        return [
            errors.get(step, lambda *words: ValueError(words))("it fails", "hint")
            if step in ("unavailable", "limit", "bug")
            else step
            for step in script
        ]

    models = [Staged(steps(s), f"m{n}", clock, ends=ends) for n, s in enumerate(scripts)]
    texts = ["".join(step for step in model.steps if isinstance(step, str)) for model in models]
    policy = FallbackPolicy(timeout=1000.0, check=(lambda reply: None) if whole else None)
    chain = FallbackModel(models, policy, clock=clock)
    given_out, last, error = "", None, None
    try:
        for delta in chain.stream(ASK, GenerationOptions(max_tokens=50)):
            assert last is None, "something follows the end"
            given_out += delta.text
            last = delta if delta.finish else None
    except ModelError as raised:
        error = raised
    route = last.route if error is None else error.attempts
    asked = [model.name for model in models if model.calls]
    assert [attempt.model for attempt in route if attempt.outcome != "skipped"] == asked
    assert all(model.calls <= 1 for model in models)
    assert all(attempt.reason for attempt in route)
    assert sum(attempt.seconds for attempt in route) <= clock.now - 100.0
    if error is None:
        name = answering_model(route)
        assert given_out == texts[int(name[1:])]
        assert clock.now - 100.0 <= 1000.0
        assert last.usage.completion_tokens >= 1
        assert [attempt.outcome for attempt in route].count("answered") == 1
    else:
        assert len(given_out) == error.given
        if given_out:
            assert route[-1].outcome == "cut"
            assert texts[int(route[-1].model[1:])].startswith(given_out)
            assert not whole
        else:
            assert {attempt.outcome for attempt in route} <= {"failed", "timed out", "rejected", "skipped"}
            assert all(attempt.model in str(error) for attempt in route)


@settings(max_examples=10)
@given(hangs=st.lists(st.sampled_from(["before", "after", "no"]), min_size=1, max_size=3), whole=st.booleans())
def test_call_ends_though_models_hang(hangs, whole):
    gate = threading.Event()
    scripts = {"before": [gate, "x"], "after": ["y ", gate], "no": ["z"]}
    models = [Staged(list(scripts[how]), f"m{n}") for n, how in enumerate(hangs)]
    policy = FallbackPolicy(timeout=0.3, check=(lambda reply: None) if whole else None)
    given_out = ""
    try:
        for delta in FallbackModel(models, policy).stream(ASK):
            given_out += delta.text
        assert given_out == "z"
    except ModelTimeoutError as error:
        assert given_out in ("", "y ")
        assert len(given_out) == error.given
    finally:
        gate.set()


# A model that keeps failing is left alone.


def test_breaker_leaves_alone_doubles_and_lets_one_try():
    clock = Clock()
    breaker = Breaker(2, 10.0, 25.0, clock)
    breaker.failed()
    assert breaker.begin() == ""
    breaker.failed()
    breaker.failed()  # of a call that was under way already
    assert "not called for another 10 s" in breaker.begin()
    for pause in (20.0, 25.0, 25.0):
        clock.now += 25.0
        assert breaker.begin() == ""
        assert "another call is testing it" in breaker.begin()
        breaker.failed()
        assert f"another {pause:g} s" in breaker.why_not()
    clock.now += 25.0
    assert breaker.begin() == ""
    breaker.succeeded()
    assert breaker.begin() == breaker.begin() == ""


def test_asked_wait_is_kept_from_the_first_time():
    clock = Clock()
    breaker = Breaker(3, 10.0, 100.0, clock)
    for asked in (float("nan"), -5.0, None):
        breaker.failed(asked)
        breaker.succeeded()
    assert breaker.why_not() == ""
    breaker.failed(42.0)
    assert "another 42 s" in breaker.why_not()
    clock.now += 42.0
    assert breaker.begin() == breaker.begin() == ""
    breaker.failed(float("inf"))
    assert "another 3.6e+03 s" in breaker.why_not()


def test_failing_model_is_left_alone_and_tried_again_later():
    clock = Clock()
    first = failing()
    first.clock = clock
    chain = FallbackModel(
        [first, Staged([GOOD], "second", clock)], FallbackPolicy(max_failures=2, cooldown=30.0), clock=clock
    )
    for _ in range(5):
        reply = complete(chain, ASK)
    assert first.calls == 2
    assert outcomes(reply.route) == [("first", "skipped"), ("second", "answered")]
    assert "not called for another 30 s" in reply.route[0].reason
    clock.now += 30.0
    first.steps = ["Back."]
    assert complete(chain, ASK).text == "Back."
    assert complete(chain, ASK).text == "Back."


def test_prompt_that_is_too_long_says_nothing_of_the_models_health():
    chain = FallbackModel([ScriptedModel("x", window=5), ScriptedModel("y", window=6)], FallbackPolicy(max_failures=1))
    for _ in range(2):
        with pytest.raises(PromptOverflowError, match=r"window is 5.*window is 6"):
            complete(chain, ASK)


def test_try_that_the_caller_breaks_off_leaves_room_for_another():
    clock = Clock()
    first = failing()
    chain = FallbackModel([first], FallbackPolicy(max_failures=1, cooldown=5.0), clock=clock)
    with pytest.raises(ModelChainError):
        complete(chain, ASK)
    clock.now += 5.0
    first.steps = ["Some ", "words ", "more"]
    stream = chain.stream(ASK)
    next(stream)
    stream.close()
    assert complete(chain, ASK).text == "Some words more"


# Budgets.


def test_member_over_its_budget_is_skipped_and_all_over_is_an_error():
    first = Staged(["word "] * 4, "first")
    each = first.count_tokens(ASK) + 4
    member = Member(first, budget=Budget(max_tokens=each + 1))
    chain = FallbackModel([member, Staged([GOOD], "second")], budget=Budget(max_calls=3))
    names = [answering_model(complete(chain, ASK).route) for _ in range(3)]
    assert names == ["first", "first", "second"]
    with pytest.raises(ModelBudgetError, match=rf"{2 * each} of {each + 1} tokens|3 of 3 calls") as caught:
        complete(chain, ASK)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["skipped", "skipped"]
    assert chain.budget.spent_calls == 3
    assert chain.budget.spent.prompt_tokens == 3 * first.count_tokens(ASK)


def test_failed_and_rejected_tries_are_paid_too():
    budget = Budget(max_dollars=0.0015)
    chain = FallbackModel([Staged([], "first"), Staged([GOOD], "second")], budget=budget)
    reply = complete(chain, ASK)
    assert reply.usage.cost == pytest.approx(0.002)
    assert reply.usage == budget.spent
    with pytest.raises(ModelBudgetError, match=r"\$0.0020 of \$0.0015"):
        complete(chain, ASK)


def test_reply_that_breaks_off_counts_as_far_as_it_came():
    budget = Budget(max_tokens=1000, max_dollars=1.0)
    first = Staged(["a ", "b ", ModelUnavailableError("broke off", "")], "first")
    with pytest.raises(ModelUnavailableError):
        complete(FallbackModel([first], budget=budget), ASK)
    stream = FallbackModel([Staged(["c "] * 5)], budget=budget).stream(ASK)
    next(stream)
    stream.close()
    assert budget.spent.prompt_tokens == 2 * first.count_tokens(ASK)
    assert budget.spent.completion_tokens == 3
    assert budget.why_over() == ""


def test_unknown_cost_ends_a_budget_of_money():
    budget = Budget(max_dollars=1.0)
    budget.spend(Usage(5, 5, 0, None))
    assert "unknown" in budget.why_over()
    with pytest.raises(SettingsError, match="max_calls must be >= 0, got -1"):
        Budget(max_calls=-1)


def test_calls_are_never_more_than_allowed_from_many_threads():
    budget = Budget(max_calls=10)
    first = Staged([GOOD], "first")
    chain = FallbackModel([first, Member(Staged([GOOD], "second"), budget=Budget(max_calls=3))], budget=budget)
    done = []

    def ask():
        try:
            done.append(complete(chain, ASK).text)
        except ModelBudgetError:
            done.append("")

    threads = [threading.Thread(target=ask) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [""] * 15 + [GOOD] * 10
    assert budget.spent_calls == 10


# The chain as a model.


def test_prompts_are_fitted_to_every_model_that_opens(tmp_path, smollm2):
    small = ScriptedModel("x", window=300)
    chain = FallbackModel([str(tmp_path / "gone.gguf"), smollm2, small])
    assert chain.window == 300
    assert chain.count_tokens(ASK) == max(smollm2.count_tokens(ASK), small.count_tokens(ASK))


def test_chain_closes_what_it_opened_and_nothing_else(smollm2):
    with FallbackModel([Member("smollm2", {"threads": 1}), smollm2]) as chain:
        assert complete(chain, ASK, GenerationOptions(max_tokens=2)).text
        own = chain._entries[0].model
    with pytest.raises(ModelError, match="closed"):
        own.count_tokens(ASK)
    assert smollm2.count_tokens(ASK)
    with pytest.raises(ModelError, match="closed"):
        complete(chain, ASK)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: FallbackModel([]), "no models"),
        (lambda: FallbackModel([(one := ScriptedModel("x")), one]), "Duplicate model"),
        (lambda: FallbackModel([Member(ScriptedModel("x"), {"window": 5})]), "Options"),
        (lambda: FallbackPolicy(timeout=0), "timeout must be > 0, got 0"),
        (lambda: FallbackPolicy(time_fraction=1.0), "time_fraction"),
        (lambda: FallbackPolicy(confidence_by="best"), "mean, lowest, p10"),
    ],
)
def test_what_can_not_be_is_refused(make, says):
    with pytest.raises(SettingsError) as caught:
        make()
    assert says in str(caught.value)


def test_chain_scores_exactly_where_its_models_do(smollm2):
    assert isinstance(FallbackModel([smollm2, "smollm2"]), ScoringModel)
    assert not isinstance(FallbackModel([smollm2, ScriptedModel("x")]), ScoringModel)
    assert not isinstance(FallbackModel(["openai:tiny", "smollm2"]), ScoringModel)
    with pytest.raises(AttributeError):
        FallbackModel([ScriptedModel("x")]).choose(ASK, ["a"])


def test_choice_and_score_go_down_the_chain(tmp_path, smollm2):
    chain = FallbackModel([str(tmp_path / "gone.gguf"), smollm2])
    choice = chain.choose(ASK, ["At ten.", "zxqv zxqv"])
    assert choice.number == smollm2.choose(ASK, ["At ten.", "zxqv zxqv"]).number
    assert [attempt.outcome for attempt in choice.route] == ["failed", "answered"]
    assert choice.usage.prompt_tokens == smollm2.count_tokens(ASK)
    assert chain.score(ASK, ["Yes"], whole=True) == smollm2.score(ASK, ["Yes"], whole=True)
    with pytest.raises(PromptError, match="0 replies"):
        chain.choose(ASK, [])
    with pytest.raises(ModelChainError, match=r"gone\.gguf"):
        FallbackModel([str(tmp_path / "gone.gguf")]).choose(ASK, ["a"])


# What reasons may not hold.


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        (f"http://x/v1 answered 500: Key {KEY} failed.", KEY),
        ("http://me:hunter2@x/v1 can't be reached", "hunter2"),
        ("refused: Bearer abc.def", "abc.def"),
        ("refused: when does the LAST bus   leave, and from", "bus"),
        ("refused: 0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
    ],
)
def test_reason_holds_no_secret_and_no_prompt(text, gone):
    told = reason_of(ModelError(text), ASK)
    assert gone not in told
    assert "…" in told
    assert told.startswith(text[:7])


def test_reason_of_a_foreign_error_is_its_kind_alone():
    assert reason_of(KeyError(KEY), ASK) == "it failed with KeyError"
    assert len(reason_of(ModelError("long " * 1000), [])) <= 300


# Against an endpoint that really fails.


@pytest.mark.parametrize("fault", ["429", "500", "malformed", "foreign", "empty", "cut", "silent", "comments"])
def test_endpoint_that_fails_is_backed_up(fault):
    with FaultServer(fault) as server:
        model = endpoint(server, total_timeout=0.6)
        policy = FallbackPolicy(timeout=10.0, model_timeout=1.5, check=lambda reply: None)
        reply = complete(FallbackModel([model, ScriptedModel(GOOD)], policy), ASK)
        model.close()
    assert reply.text == GOOD
    assert reply.route[0].outcome in ("failed", "timed out", "rejected")
    told = reply.route[0].reason
    assert KEY not in told
    assert "last bus" not in told


def test_endpoint_that_asks_to_wait_is_left_alone_so_long():
    with FaultServer("429 wait", retry_after="30") as server:
        chain = FallbackModel([endpoint(server), ScriptedModel(GOOD)])
        complete(chain, ASK)
        reply = complete(chain, ASK)
        assert server.requests == 1
    assert reply.route[0].outcome == "skipped"
    assert "not called" in reply.route[0].reason


@pytest.mark.parametrize("fault", ["late cut", "trickle", "endless"])
def test_stream_of_an_endpoint_that_breaks_is_not_doubled(fault):
    with FaultServer(fault) as server:
        model = endpoint(server, total_timeout=1.0)
        chain = FallbackModel([model, ScriptedModel(GOOD)], FallbackPolicy(timeout=10.0))
        given_out = ""
        with pytest.raises(ModelError, match="already sent") as caught:
            for delta in chain.stream(ASK, GenerationOptions(max_tokens=20)):
                given_out += delta.text
        model.close()
    assert given_out.startswith("The last") if fault == "late cut" else given_out.startswith("The")
    assert GOOD not in given_out
    assert caught.value.given == len(given_out)


def test_wrong_json_of_an_endpoint_is_mended_by_the_next():
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    with FaultServer("wrong json") as server:
        chain = FallbackModel([endpoint(server), ScriptedModel('{"answer": "x"}')])
        assert complete(chain, ASK, GenerationOptions(json_schema=schema)).text == '{"answer": "x"}'


def test_endpoint_that_is_refused_or_killed_in_the_midst_of_a_reply():
    url = f"http://127.0.0.1:{closed_port()}/v1"
    assert complete(FallbackModel([endpoint(url), ScriptedModel(GOOD)]), ASK).text == GOOD
    with fault_process("trickle") as (process, url):
        given_out = ""
        with pytest.raises(ModelError, match="already sent"):
            for delta in FallbackModel([endpoint(url), ScriptedModel(GOOD)]).stream(ASK):
                given_out += delta.text
                process.kill()
    assert given_out.startswith("The")
    assert GOOD not in given_out


def test_good_endpoint_streams_through():
    with FaultServer() as server:
        reply = complete(FallbackModel([endpoint(server), ScriptedModel(GOOD)]), ASK)
    assert reply.text == REPLY
    assert reply.usage.prompt_tokens == 20


def test_error_and_its_traceback_hold_no_key():
    with FaultServer("500") as server:
        chain = FallbackModel([endpoint(server)])
        with pytest.raises(ModelChainError) as caught:
            complete(chain, ASK)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert "last bus" not in str(caught.value)


MEMORY = """
import resource
from ragkit.models import complete
from ragkit.models.chain.fallback import FallbackModel, Member
from ragkit.models.scripted import ScriptedModel
from ragkit.records import Message
import sys, llama_cpp, jinja2.sandbox
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 1_000_000,) * 2)
chain = FallbackModel([Member("smollm2", {"threads": 1}), ScriptedModel("Still here.")])
reply = complete(chain, [Message("user", "Hi")])
print(reply.text, "|", reply.route[0].outcome, "|", reply.route[0].reason)
"""


@pytest.mark.parametrize(("megabytes", "says"), [(60, "can't be loaded"), (300, "A context of 8192 tokens")])
def test_local_model_without_memory_is_backed_up(megabytes, says):
    done = subprocess.run([sys.executable, "-c", MEMORY, str(megabytes)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Still here. | failed | "), done.stdout
    assert says in done.stdout
