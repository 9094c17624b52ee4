"""Tuning from end to end on a tiny model: it learns, outlives a kill, keeps to its time, and says what it did."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from ragkit.errors import ExamplePoolError, IndexLockedError, MissingExtraError, SettingsError, TaskError
from ragkit.indexing.writing import writer_lock
from ragkit.models.adapters import AdapterStore
from ragkit.records import Example
from ragkit.tuning import SftOptions, records_from_examples, tune_sft
from ragkit.tuning.lora.running import last_checkpoint
from ragkit.tuning.lora.training import LoraOptions, with_adapter
from tests.tuning.tiny import COLOURS, tiny_config, write_tiny_model
from tests.tuning.tiny_run import OPTIONS, records, run

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


def test_it_learns_and_says_how_well(unbroken):
    assert unbroken.before.mean < 0.4
    assert unbroken.after.mean > 0.8
    assert unbroken.training.loss < 0.3
    assert unbroken.training.steps == unbroken.training.planned >= 30
    assert unbroken.training.examples == 180
    assert unbroken.version.version == 1


def test_few_held_out_records_promote_nothing(unbroken):
    assert not unbroken.version.promoted
    assert "needs at least 20" in unbroken.why


def test_card_says_what_was_done(unbroken):
    card = unbroken.version.card
    assert card["scores"]["after"]["mean"] == unbroken.after.mean
    assert card["data"]["trained_on"] == 6
    assert card["data"]["splits"]["held out"]["rows"] == 6
    assert card["options"]["seed"] == OPTIONS.seed
    assert len(card["base"]["sha256"]) == len(card["data"]["sha256"]) == 64
    assert card["versions"]["peft"]
    told = (unbroken.version.folder / "card.md").read_text()
    assert "Not in use" in told
    assert card["base"]["sha256"] in told
    assert sorted(file.name for file in unbroken.version.folder.iterdir()) == ["adapter", "card.json", "card.md"]


def test_killed_run_goes_on_to_the_same_adapter(model, unbroken, tmp_path):
    command = [sys.executable, "-m", "tests.tuning.tiny_run", model, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    checkpoints = tmp_path / "colours" / "training" / "checkpoints"
    try:
        until = time.monotonic() + 200
        while not list(checkpoints.glob("checkpoint-[1-9][0-9]/whole.json")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert AdapterStore(tmp_path).versions() == []
    # As a kill in the midst of writing leaves it.
    torn = checkpoints / "checkpoint-1000"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step": 1000')
    report = run(model, tmp_path, options=UNBROKEN)
    assert 10 <= report.training.resumed_at < report.training.planned
    assert report.training.steps == report.training.planned == unbroken.training.planned
    found, wanted = weights(report), weights(unbroken)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert abs(found[name] - values).max() < 1e-5, name
    assert report.training.loss == pytest.approx(unbroken.training.loss, abs=1e-3)
    assert not (tmp_path / "colours" / "training").exists()


class StopError(Exception):
    pass


def interrupted(model, folder, options=OPTIONS):
    def stop(progress):
        if progress.stage == "training" and progress.done >= 3:
            raise StopError

    with pytest.raises(StopError):
        run(model, folder, stop, options)


def test_unfinished_run_of_other_settings_is_refused_and_can_be_thrown_away(model, unbroken, tmp_path):
    interrupted(model, tmp_path)
    assert last_checkpoint(tmp_path / "colours" / "training" / "checkpoints") is not None
    other = replace(OPTIONS, epochs=1, learning_rate=1e-3)
    with pytest.raises(TaskError, match="differs in: epochs, learning_rate"):
        run(model, tmp_path, options=other)
    report = run(model, tmp_path, options=other, restart=True)
    assert (report.training.resumed_at, report.training.steps) == (0, unbroken.training.planned / 30)


def test_time_limit_ends_training_and_its_learning_rate(model, tmp_path):
    report = run(model, tmp_path, options=replace(OPTIONS, epochs=100_000, minutes=2 / 60))
    assert report.training.cut
    assert 0 < report.training.steps < report.training.planned
    assert report.version.card["training"]["cut"]


def test_better_version_is_promoted_and_a_worse_one_is_not(model, tmp_path):
    measured = records("a test of what the model says, number", copies=4)

    def tuned(options):
        return tune_sft("c", records("learned"), measured, options, base=model, folder=tmp_path)

    good = tuned(OPTIONS)
    assert good.gain.low > 0
    assert good.version.promoted
    worse = tuned(replace(OPTIONS, epochs=1, learning_rate=1e-6))
    assert not worse.version.promoted
    assert "version 1 stays in use" in worse.why
    assert AdapterStore(tmp_path).find("c").version == 1


def test_leaking_rows_are_not_learned(model, tmp_path):
    examples = [Example(f"what colour is {word} ?", colour) for word, colour in COLOURS.items()]
    rows = records_from_examples(examples)
    report = tune_sft(
        "c",
        rows,
        rows[:1],
        replace(OPTIONS, epochs=1),
        base=model,
        folder=tmp_path,
        splits={"test": rows[1:2]},
    )
    left_out = {leak.record.key: leak.split for leak in report.leaked}
    assert left_out[examples[0].input] == "held out"
    assert left_out[examples[1].input] == "test"
    assert report.version.card["data"]["leaked"] == len(report.leaked)
    with pytest.raises(ExamplePoolError, match="All 6 training rows"):
        tune_sft("c", rows, rows, OPTIONS, base=model, folder=tmp_path)


def test_records_that_are_too_long_are_counted_and_all_of_them_an_error(model, tmp_path):
    rows = records_from_examples([Example("what colour is grass ?", "green"), Example("a " * 50, "green")])
    held_out = records_from_examples([Example("tell me the colour of snow ?", "white")])
    options = replace(OPTIONS, epochs=1, max_length=20)
    assert tune_sft("c", rows, held_out, options, base=model, folder=tmp_path).too_long == 1
    with pytest.raises(ExamplePoolError, match="the shortest has"):
        tune_sft("c", rows[1:], held_out, options, base=model, folder=tmp_path)


def test_two_at_once_are_refused(model, tmp_path):
    (tmp_path / "colours").mkdir()
    with writer_lock(tmp_path / "colours"), pytest.raises(IndexLockedError):
        run(model, tmp_path)


def test_missing_package_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match="tune"):
        run(model, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"minutes": 0},
        {"rank": 0},
        {"modules": "some"},
        {"learning_rate": 0},
        {"metric": "bleu"},
        {"max_length": 1},
    ],
)
def test_options_that_can_not_be_are_refused(wrong):
    with pytest.raises(SettingsError):
        SftOptions(**wrong)


def test_card_is_json(unbroken):
    assert json.loads((unbroken.version.folder / "card.json").read_text()) == unbroken.version.card


@pytest.mark.parametrize(("layers", "modules", "count"), [(0, "all", 14), (1, "all", 7), (1, "attention", 4)])
def test_adapter_is_put_on_the_layers_and_modules_that_are_asked_for(layers, modules, count):
    from transformers import LlamaForCausalLM

    model = with_adapter(LlamaForCausalLM(tiny_config()), LoraOptions(layers=layers, modules=modules))
    tuned = [name for name, one in model.named_parameters() if one.requires_grad and "lora_A" in name]
    assert len(tuned) == count
    assert all("layers.1." in name for name in tuned) == (layers == 1)
