"""Prompts judged by a real model: SmolLM2."""

import pytest

from ragkit.errors import ExamplePoolError, PromptError, SettingsError
from ragkit.models import GenerationOptions
from ragkit.models.scripted import ScriptedModel
from ragkit.prompt_search import (
    ModelObjective,
    PromptCandidate,
    SearchOptions,
    exact_match,
    search_prompts,
)
from ragkit.prompting.shot_template import ShotTemplate
from ragkit.records import Example
from ragkit.tasks.metrics import token_f1

LABELS = ("blue folder", "red folder")
TRAIN = [
    Example("I lost my card yesterday", "blue folder"),
    Example("what is your exchange rate for dollars", "red folder"),
    Example("my card is gone, I can't find it", "blue folder"),
    Example("the exchange rate you used is wrong", "red folder"),
    Example("I think I left my card in a taxi", "blue folder"),
    Example("is the rate for euros better on weekdays", "red folder"),
]
DEV = [
    Example("where do I report that my card is lost", "blue folder"),
    Example("how do you work out exchange rates", "red folder"),
    Example("card lost, please block it", "blue folder"),
]
SHOTS = tuple(TRAIN[:4])
LINES = ShotTemplate(style="lines", input_name="Query", output_name="Folder")
START = PromptCandidate("Name the folder that the query belongs in.")


def test_labels_are_chosen_and_compared(smollm2):
    outcomes = ModelObjective(smollm2, labels=LABELS)(START, DEV)
    assert {outcome.score for outcome in outcomes} == {0.0, 1.0}
    for outcome, example in zip(outcomes, DEV, strict=True):
        other = next(label for label in LABELS if label != example.output)
        assert (outcome.score, outcome.feedback) in [
            (1.0, f"Right: {example.output!r}."),
            (0.0, f"Expected {example.output!r}, but the reply was {other!r}."),
        ]


def test_shots_teach_the_model(smollm2):
    judge = ModelObjective(smollm2, labels=LABELS)
    swapped = tuple(Example(shot.input, LABELS[shot.output == LABELS[0]]) for shot in SHOTS)
    right, wrong = (
        sum(outcome.score for outcome in judge(PromptCandidate(START.instruction, shots), DEV))
        for shots in (SHOTS, swapped)
    )
    assert right == len(DEV)
    assert wrong < right


def test_reply_is_written_where_there_are_no_labels(smollm2):
    judge = ModelObjective(smollm2, metric=token_f1)
    outcomes = judge(PromptCandidate(START.instruction, SHOTS), DEV)
    assert sum(outcome.score for outcome in outcomes) >= 1.5


def test_instruction_takes_the_place_of_the_templates():
    seen = []
    model = ScriptedModel(lambda messages: seen.append(messages) or "Blue  folder.")
    judge = ModelObjective(model, ShotTemplate(instruction="old"))
    (outcome,) = judge(PromptCandidate("new", SHOTS[:1]), DEV[:1])
    assert outcome.score == 1.0
    assert [(message.role, message.content) for message in seen[0]] == [
        ("system", "new"),
        ("user", SHOTS[0].input),
        ("assistant", "blue folder"),
        ("user", DEV[0].input),
    ]


def test_forms_of_the_template_hold_for_replies_and_labels(smollm2):
    template = ShotTemplate(style="lines", output_form="folder={output}")
    (outcome,) = ModelObjective(smollm2, template, labels=LABELS)(PromptCandidate("", SHOTS), DEV[:1])
    assert "'folder=" in outcome.feedback
    wanted = ModelObjective(ScriptedModel("folder=blue folder"), template)(PromptCandidate(), DEV[:1])
    assert wanted[0].score == 1.0


def test_metric_may_be_any_function():
    judge = ModelObjective(ScriptedModel("blue"), metric=lambda reply, wanted: len(reply) / len(wanted))
    (outcome,) = judge(PromptCandidate(), DEV[:1])
    assert outcome.score == pytest.approx(4 / 11)
    assert outcome.feedback == "Expected 'blue folder', but the reply was 'blue'."


def test_prompt_beyond_the_window_scores_nothing_and_says_so():
    judge = ModelObjective(ScriptedModel("blue folder", window=60))
    short, long = judge(PromptCandidate("Name it."), DEV[:1]), judge(PromptCandidate("word " * 60), DEV[:1])
    assert short[0].score == 1.0
    assert long[0].score == 0.0
    assert "too long" in long[0].feedback


def test_labels_without_a_scoring_model_are_refused():
    with pytest.raises(SettingsError, match="scripted can't choose among labels"):
        ModelObjective(ScriptedModel(""), labels=LABELS)


@pytest.mark.parametrize("labels", [("a", "a"), ("a", " ")])
def test_unusable_labels_are_refused(smollm2, labels):
    with pytest.raises(SettingsError, match="Empty or duplicate labels"):
        ModelObjective(smollm2, labels=labels)


def test_output_that_is_no_label_is_refused(smollm2):
    judge = ModelObjective(smollm2, labels=LABELS)
    with pytest.raises(
        ExamplePoolError, match="'top up' of 'how\\?' is not one of the labels: blue folder, red folder"
    ):
        judge(PromptCandidate(), [Example("how?", "top up")])


def test_example_without_output_is_refused():
    with pytest.raises(ExamplePoolError, match="is empty"):
        ModelObjective(ScriptedModel("x"))(PromptCandidate(), [Example("how?", "")])


def test_form_with_a_field_that_is_missing_is_told():
    judge = ModelObjective(ScriptedModel("x"), ShotTemplate(input_form="{language}: {input}"))
    with pytest.raises(PromptError, match="language"):
        judge(PromptCandidate(), DEV[:1])


def test_identity_tells_what_replies_depend_on():
    model = ScriptedModel("x")
    identities = {
        ModelObjective(model).identity,
        ModelObjective(model, LINES).identity,
        ModelObjective(model, metric=token_f1).identity,
        ModelObjective(model, options=GenerationOptions(max_tokens=5)).identity,
    }
    assert len(identities) == 4
    assert ModelObjective(model, LINES).identity == ModelObjective(ScriptedModel("y"), LINES).identity


@pytest.mark.parametrize(
    ("reply", "wanted", "score"),
    [("Lost  Card.", "lost card", 1.0), ("lost cards", "lost card", 0.0), ("", "a", 0.0), ("ﬁne", "fine", 1.0)],
)
def test_exact_match(reply, wanted, score):
    assert exact_match(reply, wanted) == score


@pytest.mark.parametrize(
    ("reply", "wanted", "score"),
    [
        ("The lost card!", "lost card", 1.0),
        ("lost", "lost card", 2 / 3),
        ("lost lost", "lost card", 0.5),
        ("rate", "lost card", 0.0),
        ("the", "a", 1.0),
        ("", "card", 0.0),
    ],
)
def test_token_f1(reply, wanted, score):
    assert token_f1(reply, wanted) == pytest.approx(score)


def test_random_search_with_a_model_finds_better_shots(smollm2):
    judge = ModelObjective(smollm2, labels=LABELS)
    options = SearchOptions(max_calls=15, shots=4, minibatch=3, proposals=4, seed=1)
    report = search_prompts(judge, TRAIN, DEV, options=options, start=START)
    assert len(report.trials) >= 3
    assert report.dev_score > report.start_score
    again = judge(report.best, DEV)
    assert sum(outcome.score for outcome in again) / len(DEV) == report.dev_score


@pytest.mark.parametrize("method", ["ape", "opro", "gepa"])
def test_model_proposes_and_an_interrupted_search_goes_on(smollm2, method, tmp_path):
    judge = ModelObjective(smollm2, labels=LABELS)
    options = SearchOptions(max_calls=16, proposals=2, minibatch=1, demos=3, max_tokens=30)

    def search(progress=None):
        given = {"proposer": smollm2, "options": options, "start": START, "folder": tmp_path, "progress": progress}
        return search_prompts(judge, TRAIN, DEV, method=method, **given)

    def stop(progress):
        if progress.done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(stop)
    before = (tmp_path / "search.jsonl").read_bytes()
    report = search()
    assert (tmp_path / "search.jsonl").read_bytes().startswith(before)
    assert 8 < report.calls <= options.max_calls
    assert report.proposals >= 1
    assert len(report.trials) - 1 + len(report.dropped) == report.proposals
    assert report.trials[0].candidate == START
    assert report.dev_score >= report.start_score
    assert search() == report
