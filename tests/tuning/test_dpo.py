"""Tuning on rankings, from end to end: it learns what is preferred, outlives a kill, and says what it did."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from ragkit.errors import ExamplePoolError, SettingsError, TaskError
from ragkit.models import GenerationOptions, complete
from ragkit.models.adapters import AdapterStore, tuned_model
from ragkit.records import Message
from ragkit.tuning.lora.base_model import base_model
from ragkit.tuning.lora.dpo import DpoOptions, tune_dpo
from ragkit.tuning.lora.likelihood import likelihood
from ragkit.tuning.lora.running import last_checkpoint
from ragkit.tuning.rewards.rankings import Ranking
from tests.tuning.tiny import write_tiny_model
from tests.tuning.tiny_dpo_run import OPTIONS, run

ROOT = Path(__file__).resolve().parents[2]
# Only a run that is to be killed needs a checkpoint at each step.
UNBROKEN = replace(OPTIONS, checkpoint_seconds=3600.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def unbroken(model, tmp_path_factory):
    return run(model, tmp_path_factory.mktemp("adapters"), options=UNBROKEN)


def weights(report):
    return load_file(report.version.folder / "adapter" / "adapter_model.safetensors")


def test_it_learns_what_is_preferred(unbroken):
    assert unbroken.before.mean < 0.7
    assert unbroken.after.mean > 0.8
    assert unbroken.training.steps == unbroken.training.planned == 108
    assert unbroken.training.loss < 0.3
    assert not unbroken.leaked


def test_card_says_what_was_done(unbroken):
    card = unbroken.version.card
    assert card["scores"]["after"]["mean"] == unbroken.after.mean
    assert card["data"]["trained_on"] == 36
    assert card["data"]["splits"]["held out"]["rows"] == 12
    assert card["options"]["beta"] == OPTIONS.beta
    assert len(card["data"]["sha256"]) == 64
    assert "preference accuracy" in (unbroken.version.folder / "card.md").read_text()
    assert not unbroken.version.promoted
    assert "needs at least 20" in unbroken.why
    assert sorted(file.name for file in unbroken.version.folder.iterdir()) == ["adapter", "card.json", "card.md"]
    assert sorted(file.name for file in (unbroken.version.folder / "adapter").iterdir() if file.is_dir()) == []


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_adapter(model, unbroken, tmp_path):
    command = [sys.executable, "-m", "tests.tuning.tiny_dpo_run", model, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    checkpoints = tmp_path / "taste" / "training" / "checkpoints"
    try:
        until = time.monotonic() + 250
        while not list(checkpoints.glob("checkpoint-[1-9][0-9]/whole.json")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert AdapterStore(tmp_path).versions() == []
    report = run(model, tmp_path, options=UNBROKEN)
    assert 10 <= report.training.resumed_at < 108
    assert report.training.steps == 108
    found, wanted = weights(report), weights(unbroken)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert abs(found[name] - values).max() < 1e-4, name
    assert not (tmp_path / "taste" / "training").exists()


class _StopError(Exception):
    pass


def test_unfinished_run_of_other_settings_is_refused(model, tmp_path):
    def stop(progress):
        if progress.stage == "training" and progress.done >= 2:
            raise _StopError

    with pytest.raises(_StopError):
        run(model, tmp_path, stop)
    assert last_checkpoint(tmp_path / "taste" / "training" / "checkpoints") is not None
    with pytest.raises(TaskError, match="differs in: beta"):
        run(model, tmp_path, options=replace(OPTIONS, beta=0.5))


def test_time_limit_ends_training(model, tmp_path):
    report = run(model, tmp_path, options=replace(OPTIONS, epochs=100_000, minutes=2 / 60))
    assert report.training.cut
    assert 0 < report.training.steps < report.training.planned


def test_what_can_t_be_is_refused(model, tmp_path):
    with pytest.raises(SettingsError, match="beta"):
        DpoOptions(beta=0)
    one = [Ranking("what colour is grass ?", "green", "red")]
    with pytest.raises(ExamplePoolError, match="0 held-out"):
        tune_dpo("taste", one, [], base=model, folder=tmp_path)
    with pytest.raises(ExamplePoolError, match="evaluation split"):
        tune_dpo("taste", one, one, base=model, folder=tmp_path)
    with pytest.raises(ExamplePoolError, match="longer than 8 tokens"):
        tune_dpo(
            "taste",
            one,
            [Ranking("tell me a thing", "red", "blue")],
            DpoOptions(max_length=8),
            base=model,
            folder=tmp_path,
        )


@pytest.mark.slow
def test_adapter_of_the_default_model_is_used_by_llama_cpp(tmp_path):
    asked = "Which word do you like better, up or down? Answer with that word alone."
    train = [Ranking(text, "down", "up", {"key": f"lesson {text}"}) for text in (asked, "Up or down?")]
    held = [Ranking("Is it up or is it down that you would go?", "down", "up", {"key": "exam"})]
    options = DpoOptions(
        epochs=3, batch_size=2, layers=4, modules="attention", rank=4, alpha=8, learning_rate=5e-3, threads=1
    )
    report = tune_dpo("down", train, held, options, folder=tmp_path)
    base = base_model()

    def margin(version):
        with likelihood(base, version, threads=1) as found:
            good, bad = found.score(held[0].prompt, ["down", "up"])
        return good - bad

    assert margin(report.version.folder) > margin(None) + 0.5
    model = tuned_model("down@1", tmp_path, threads=1)
    messages = [Message("user", asked)]
    good, bad = (sum(one) for one in model.score(messages, ["down", "up"], whole=True))
    assert good > bad
    assert complete(model, messages, GenerationOptions(max_tokens=4)).text
    model.close()
