"""``ragkit tune reward`` and ``ragkit tune dpo``, as a person runs them."""

import json

import typer
from typer.testing import CliRunner

from ragkit.cli import tune_reward
from ragkit.errors import ExamplePoolError
from ragkit.tuning.rewards.rankings import Ranking, write_rankings
from tests.tuning.test_reward import rankings
from tests.tuning.tiny import write_tiny_model
from tests.tuning.tiny_dpo_run import FORMS
from tests.tuning.tiny_dpo_run import rankings as colours


def run(*arguments):
    app = typer.Typer()
    tune_reward.register(app)
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_reward_is_taught_and_told(tmp_path):
    file, held = tmp_path / "train.jsonl", tmp_path / "held.jsonl"
    both = [Ranking("Which?", "one", "two"), Ranking("Which?", "two", "one"), Ranking("Which?", "one", "one")]
    write_rankings(file, [*rankings(0, 20), *both])
    write_rankings(held, rankings(1000, 22))
    done = run("reward", "taste", file, "--held-out", held, "--adapters", tmp_path / "a")
    assert done.exit_code == 0, done.output
    assert "20 training rankings" in done.output
    assert "contradictory: 1 to 1 for 'one' over 'two'" in done.output
    assert "skipped: Ranking 23 ranks two equal answers" in done.output
    assert "taste@1 is in use: " in done.output


def test_dpo_is_taught_and_its_card_printed(tmp_path):
    model = write_tiny_model(tmp_path / "tiny")
    file, held = tmp_path / "train.jsonl", tmp_path / "held.jsonl"
    write_rankings(file, colours(*FORMS, key="lesson: its hue."))
    write_rankings(held, colours("tell me what colour is {} ?", key="an exam about colours"))
    options = ("--held-out", held, "--base", model, "--epochs", 1, "--adapters", tmp_path / "a")
    done = run("dpo", "taste", file, *options, "--json")
    assert done.exit_code == 0, done.output
    card = json.loads(done.stdout)["card"]
    assert card["data"]["trained_on"] == 36
    assert card["training"]["steps"] == card["training"]["planned"] > 0
    assert not card["scores"]["promoted"]


def test_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"input": "a", "output": "b"}\n')
    done = run("reward", "taste", tmp_path / "rows.jsonl", "--adapters", tmp_path / "a")
    assert isinstance(done.exception, ExamplePoolError)
    assert "not an object with a prompt" in str(done.exception)
