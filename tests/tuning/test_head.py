"""A head on vectors: learns, is tuned only where that is shown to gain, and is read back as it was."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragkit.embedding import open_embedder
from ragkit.errors import QueryError, SettingsError, TaskError
from ragkit.records import Example
from ragkit.tasks import Classifier
from ragkit.tuning.comparison import Estimate
from ragkit.tuning.embedders import training as embedder_training
from ragkit.tuning.embedders.training import EmbedderOptions
from ragkit.tuning.embedders.tuning import tune_on_pairs
from ragkit.tuning.heads.classifier import HeadClassifier
from ragkit.tuning.heads.data import alike, split
from ragkit.tuning.heads.fit import HeadGain, HeadOptions
from tests.examples.conftest import EXAMPLES, QUERIES

ROOT = Path(__file__).resolve().parents[2]
FROZEN = HeadOptions(tune=False, val_fraction=0.2)
NEW = {
    "somebody took my card, I have lost it": "lost_card",
    "the post has still not brought my card": "card_arrival",
    "what do I get for 100 dollars, which exchange rate": "exchange_rate",
    "give me another PIN": "change_pin",
}
# Which of two letters a text names first: the frozen vectors hardly hold that, so that tuning has something to gain.
PAIRS = [(one, other) for one in "bdfghjklmnprst" for other in "bdfghjklmnprst" if one < other]
ORDERS = [
    Example(f"first {a} and then {b}", "rising" if a < b else "falling")
    for one, other in PAIRS
    for a, b in ((one, other), (other, one))
]
NAMED = [
    (f"who likes {colour}?", f"It is the {animal}.")
    for colour, animal in zip(
        ["red", "blue", "green", "black", "white", "brown"],
        ["horse", "bird", "fish", "goat", "snake", "mouse"],
        strict=True,
    )
]
TUNING = EmbedderOptions(epochs=8, layers=6, learning_rate=3e-4, seconds=600)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return HeadClassifier.fit(tmp_path_factory.mktemp("head"), EXAMPLES, options=FROZEN)


def test_new_inputs_get_their_labels(head):
    found = head.predict(list(NEW))
    assert [one.label for one in found] == list(NEW.values())
    for one in found:
        assert set(one.probabilities) == set(QUERIES)
        assert sum(one.probabilities.values()) == pytest.approx(1)
        assert one.probability == max(one.probabilities.values()) == one.probabilities[one.label]
        assert not one.used_llm
    assert head.accuracy([Example(text, label) for text, label in NEW.items()]) == 1
    assert head.predict([]) == []
    with pytest.raises(QueryError, match="Input 2 is empty"):
        head.predict(["a", " "])


def test_opened_and_copied_head_says_the_same(head, tmp_path):
    head.save(tmp_path / "copy")
    for again in (HeadClassifier.open(head.path), HeadClassifier.open(tmp_path / "copy")):
        assert again.predict(list(NEW)) == head.predict(list(NEW))


def test_card_says_what_it_was_made_from(head):
    card = json.loads((head.path / "card.json").read_text())
    assert card["report"]["examples"] == len(EXAMPLES)
    assert card["report"]["kept"] == "frozen"
    assert len(card["data_sha256"]) == 64
    assert card["model"].startswith("all-MiniLM-L6-v2@")
    assert card["versions"]["python"]
    page = (head.path / "card.md").read_text()
    assert f"{head.report.frozen:.4f} with the frozen embedder" in page
    assert card["data_sha256"] in page


def test_equal_head_does_not_replace_the_one_before(head, tmp_path):
    head.save(tmp_path)
    before = sorted((file, file.read_bytes()) for file in tmp_path.rglob("*") if file.is_file())
    again = HeadClassifier.fit(tmp_path, EXAMPLES, options=replace(FROZEN, strengths=(20.0,)))
    assert again.report.kept == "old"
    assert "stays" in again.report.why
    assert sorted((file, file.read_bytes()) for file in tmp_path.rglob("*") if file.is_file()) == before


def test_better_head_replaces_the_one_before_and_one_of_other_labels_too(tmp_path):
    options = replace(FROZEN, val_fraction=0.4)
    first = HeadClassifier.fit(tmp_path, EXAMPLES, options=options)
    held_out = tmp_path / "held_out.jsonl"
    lines = [json.loads(line) for line in held_out.read_text().splitlines()]
    assert sum(line["scores"][0] for line in lines) >= 6
    held_out.write_text("".join(json.dumps({**line, "scores": [0.0, -9.0]}) + "\n" for line in lines))
    better = HeadClassifier.fit(tmp_path, EXAMPLES[:-1], options=options)
    assert better.report.kept == "frozen"
    assert better.report.old_gain.significant
    assert better.settings.version != first.settings.version
    assert [one.name for one in tmp_path.glob("v-*")] == [better.settings.version]
    fewer = HeadClassifier.fit(tmp_path, [e for e in EXAMPLES if e.output != "lost_card"], options=FROZEN)
    assert fewer.report.old_gain is None
    assert len(fewer.settings.labels) == 3


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    return HeadClassifier.fit(folder, ORDERS, options=HeadOptions(tuning=TUNING, val_fraction=0.3))


@pytest.mark.slow
def test_embedder_is_tuned_where_that_is_shown_to_gain(tuned):
    report = tuned.report
    assert report.kept == "tuned"
    assert report.tuned > report.frozen
    assert report.tuning_gain.significant
    assert not report.training.cut
    assert tuned.accuracy(ORDERS) > 0.9
    again = HeadClassifier.open(tuned.path)
    assert again.embedder.model_id != open_embedder().model_id
    assert [one.label for one in again.predict([e.input for e in ORDERS])] == [
        one.label for one in tuned.predict([e.input for e in ORDERS])
    ]
    assert not (tuned.path / "candidate").exists()


def test_tuned_embedder_opens_by_its_folder_in_both_runtimes(tuned):
    folder = tuned.path / tuned.settings.version / "embedder"
    texts = [example.input for example in ORDERS[:8]]
    small, whole = (open_embedder(folder, runtime).embed(texts) for runtime in ("onnx", "torch"))
    assert (small * whole).sum(axis=1).min() > 0.9
    assert (small * open_embedder().embed(texts)).sum(axis=1).max() < 0.95


@pytest.mark.slow
def test_tuning_that_gains_nothing_is_not_kept(tmp_path):
    options = HeadOptions(tuning=EmbedderOptions(epochs=1, batch_size=8, learning_rate=1e-9), val_fraction=0.2)
    made = HeadClassifier.fit(tmp_path, EXAMPLES, options=options)
    assert made.report.kept == "frozen"
    assert "not significant" in made.report.why
    assert not made.report.tuning_gain.significant
    assert not list(tmp_path.rglob("model.safetensors"))


def test_time_limit_ends_training(tmp_path):
    options = EmbedderOptions(epochs=10_000, seconds=0.5, batch_size=4)
    report = tune_on_pairs(NAMED, tmp_path / "embedder", options=options)
    assert report.cut
    assert 0 < report.done < report.steps
    assert [file.name for file in tmp_path.iterdir()] == ["embedder"]


def test_right_labels_must_be_likelier_and_not_fewer():
    up, down, even = Estimate(0.1, 0.05, 0.15, 9), Estimate(-0.1, -0.2, 0.0, 9), Estimate(0.1, -0.1, 0.3, 9)
    assert HeadGain(up, even).significant
    assert not HeadGain(up, down).significant
    assert not HeadGain(even, up).significant


def test_examples_of_the_evaluation_split_are_not_learned_from(tmp_path):
    test = [Example("I LOST my card, yesterday!", "lost_card"), Example("how can I change my PIN", "change_pin")]
    made = HeadClassifier.fit(tmp_path, EXAMPLES, evaluation=test, options=FROZEN)
    assert made.report.leaked == 2
    assert made.report.examples == len(EXAMPLES) - 2
    with pytest.raises(TaskError, match="20 near-duplicates"):
        HeadClassifier.fit(tmp_path / "all", EXAMPLES, evaluation=EXAMPLES, options=FROZEN)


def test_alike_are_those_that_differ_in_signs_or_hardly():
    vectors = np.eye(3, dtype=np.float32)
    near = np.array([[0.999, 0.045, 0]], dtype=np.float32)
    assert alike(["a", "b", "c!"], vectors, ["x"], near).tolist() == [True, False, False]
    assert alike(["a", "b", "c!"], vectors, ["C"], np.zeros((1, 3), np.float32)).tolist() == [False, False, True]
    assert alike(["a"], vectors[:1], [], vectors[:0]).tolist() == [False]


def test_split_holds_out_of_each_label_and_stays_when_examples_are_added():
    own, held = split(EXAMPLES, 0.2, 0)
    assert sorted(own + held) == list(range(len(EXAMPLES)))
    assert {EXAMPLES[n].output for n in held} == set(QUERIES)
    more = [*(Example(f"more {n}", "lost_card") for n in range(5)), *EXAMPLES]
    _, again = split(more, 0.2, 0)
    kept = {EXAMPLES[n].input for n in held if EXAMPLES[n].output != "lost_card"}
    assert kept <= {more[n].input for n in again}
    assert split(EXAMPLES, 0.2, 1)[1] != held
    assert split([Example("a", "x"), Example("b", "y")], 0.9, 0) == ([0, 1], [])
    assert len(split(EXAMPLES, 0.01, 0)[1]) == len(QUERIES)


def test_what_can_not_be_fitted_is_refused(tmp_path, head):
    with pytest.raises(TaskError, match="2 or more labels"):
        HeadClassifier.fit(tmp_path, [e for e in EXAMPLES if e.output == "lost_card"], options=FROZEN)
    with pytest.raises(TaskError, match="too few to hold some out"):
        HeadClassifier.fit(tmp_path, [Example("a", "x"), Example("b", "y")], options=FROZEN)
    with pytest.raises(TaskError, match="contains no task"):
        HeadClassifier.open(tmp_path / "none")
    with pytest.raises(TaskError, match="'head'"):
        Classifier.open(head.path)
    with pytest.raises(SettingsError, match="val_fraction=1"):
        HeadOptions(val_fraction=1)
    with pytest.raises(SettingsError, match="epochs=0"):
        EmbedderOptions(epochs=0)


def test_version_outside_of_the_folder_is_refused(head, tmp_path):
    head.save(tmp_path)
    task = json.loads((tmp_path / "task.json").read_text())
    (tmp_path / "task.json").write_text(json.dumps({**task, "version": "../elsewhere"}))
    with pytest.raises(TaskError, match="damaged"):
        HeadClassifier.open(tmp_path)


def test_questions_come_nearer_to_their_passages(tmp_path):
    options = EmbedderOptions(epochs=30, batch_size=6, learning_rate=3e-4, seconds=600)
    tune_on_pairs(NAMED, tmp_path / "e", options=options)

    def found(model):
        embedder = open_embedder(model, "torch")
        asked = embedder.embed([question for question, _ in NAMED], "query")
        best = (asked @ embedder.embed([passage for _, passage in NAMED]).T).argmax(axis=1)
        return int((best == np.arange(len(NAMED))).sum())

    assert found(tmp_path / "e") == len(NAMED) > found("default")
    with pytest.raises(TaskError, match="fewer than two distinct passages"):
        tune_on_pairs([("a", "x"), ("b", "x")], tmp_path / "f")


NUMBERED = [
    (f"what is number {number}?", f"Its name is {name}.")
    for number, name in enumerate(["one", "two", "three", "four", "five", "six"])
]


def tune_numbered(folder, progress=None):
    options = EmbedderOptions(epochs=20, batch_size=6, seconds=3600)
    with pytest.MonkeyPatch.context() as patch:
        # Two runs in bfloat16 differ as much from each other as from one that was broken off.
        patch.setattr(embedder_training, "_half_is_fast", lambda: False)
        return tune_on_pairs(NUMBERED, folder, options=options, progress=progress)


KILLED = """
import sys
from pathlib import Path
from ragkit.tuning.embedders import training as embedder_training
from tests.tuning.test_head import tune_numbered
embedder_training._EVERY = 0.0
tune_numbered(Path(sys.argv[1]), lambda told: print(told.done, flush=True))
"""


@pytest.mark.slow
def test_killed_training_goes_on_to_the_same_result(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for line in process.stdout:
            if int(line) == 8:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    again, whole = (tune_numbered(tmp_path / name) for name in ("killed", "whole"))
    assert again.resumed_at >= 7
    assert whole.resumed_at == 0
    assert again.done == whole.done == 20
    vectors = [open_embedder(tmp_path / name, "torch").embed(["what is number 3?"]) for name in ("killed", "whole")]
    np.testing.assert_allclose(*vectors, atol=1e-4)
