"""Tuning by a score: the model comes to say what scores, an interrupted run goes on, and bad scores are told."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ragkit.cli.main import app
from ragkit.errors import ExamplePoolError, ModelError, SettingsError
from ragkit.records import Message
from ragkit.tuning.data import TuningRecord
from ragkit.tuning.lora.grpo import GrpoOptions, tune_grpo
from ragkit.tuning.rewards.rankings import read_prompts
from tests.tuning.tiny import COLOURS, write_tiny_model

OPTIONS = GrpoOptions(
    epochs=10,
    rank=4,
    alpha=8,
    batch_size=4,
    num_replies=8,
    max_reply_tokens=3,
    learning_rate=2e-2,
    beta=0.0,
    checkpoint_seconds=0.0,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


def prompts(form, key):
    return [TuningRecord((Message("user", form.format(word)),), "", f"{key} {form} {word}") for word in COLOURS]


TRAIN = [*prompts("what colour is {} ?", "lesson"), *prompts("tell me the colour {} is ?", "lesson")]
HELD = [*prompts("tell me what colour is {} ?", "an exam"), *prompts("{} is what colour ?", "an exam")] * 2


def says_green(prompt, answers):
    """Tell how much of each answer is the word green."""
    return [answer.split().count("green") / max(1, len(answer.split())) for answer in answers]


def run(model, folder, score=says_green, progress=None, options=OPTIONS):
    return tune_grpo("taste", TRAIN, HELD, score, options, base=model, folder=folder, progress=progress)


@pytest.fixture(scope="module")
def made(model, tmp_path_factory):
    return run(model, tmp_path_factory.mktemp("adapters"))


def test_it_says_what_scores(made):
    assert made.before.mean < 0.3
    assert made.after.mean > 0.8
    assert made.version.promoted
    assert made.training.steps == made.training.planned == 30
    assert made.training.examples == 120
    card = made.version.card
    assert card["options"]["num_replies"] == 8
    assert card["scores"]["metric"] == "mean reward by says_green"


class _StopError(Exception):
    pass


@pytest.mark.slow
def test_interrupted_run_goes_on(model, tmp_path):
    def stop(progress):
        if progress.stage == "training" and progress.done >= 5:
            raise _StopError

    with pytest.raises(_StopError):
        run(model, tmp_path, progress=stop)
    report = run(model, tmp_path)
    assert 1 <= report.training.resumed_at <= 6
    assert report.training.steps == 30
    assert report.after.mean > 0.8


def test_score_that_is_no_number_is_told(model, tmp_path):
    with pytest.raises(ModelError, match="nan"):
        run(model, tmp_path, score=lambda prompt, answers: [float("nan")] * len(answers))


def test_what_can_t_be_is_refused(model, tmp_path):
    with pytest.raises(SettingsError, match="got num_replies=1"):
        GrpoOptions(num_replies=1)
    with pytest.raises(ExamplePoolError, match="0 training prompts"):
        tune_grpo("taste", [], HELD, says_green, base=model, folder=tmp_path)
    with pytest.raises(ExamplePoolError, match="longer than 8 tokens"):
        run(model, tmp_path, options=replace(OPTIONS, max_length=8))


def test_command_takes_a_check_and_a_file_of_rankings(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_check.py").write_text("def green(asked, answer):\n    return 'green' in answer\n")
    rows = [{"prompt": one.messages[0].content, "chosen": "green", "rejected": "red"} for one in TRAIN]
    (tmp_path / "rankings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *rows]))
    assert len(read_prompts("rankings.jsonl")) == len(TRAIN)
    command = ["tune", "grpo", "taste", "rankings.jsonl", "--base", model, "--epochs", "0.5", "--max-reply-tokens", "3"]
    found = CliRunner().invoke(app, [*command, "--check", "own_check:green", "--val-fraction", "0.3", "--json"])
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["card"]["scores"]["metric"] == "mean reward by own_check:green"
    assert told["card"]["options"]["way"] == "grpo"
    assert told["version"] == 1
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, SettingsError)
    assert "--check" in str(refused.exception)
