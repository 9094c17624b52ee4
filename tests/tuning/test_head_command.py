"""``ragkit tune head`` and ``ragkit tune embedder``, as they register themselves."""

import json

import pytest
import typer
from typer.testing import CliRunner

from ragkit import Index
from ragkit.cli.main import app
from ragkit.cli.tune_head import register
from ragkit.errors import TaskError
from ragkit.records import Document, Example, document_id
from ragkit.tuning.embedders.pairs import fit_embedder, pairs_from_index
from ragkit.tuning.embedders.training import EmbedderOptions
from ragkit.tuning.heads.classifier import HeadClassifier
from tests.cli.test_examples import FIELDS, write_csv
from tests.examples.conftest import EXAMPLES

TEXTS = ["The red horse lives in Oslo.", "The blue bird lives in Rome.", "The green fish lives in Lima."]


@pytest.fixture
def tune(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = typer.Typer()
    register(own)

    def run(*words, code=0):
        done = CliRunner().invoke(own, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.stdout

    return run


def test_head_is_fitted_and_measured_on_a_test_split(tune, tmp_path):
    rows = [(example.input, example.output) for example in EXAMPLES]
    write_csv(tmp_path / "train.csv", rows)
    write_csv(
        tmp_path / "test.csv", [*rows[:1], ("my card is lost, help", "lost_card"), ("new PIN please", "change_pin")]
    )
    told = json.loads(tune("head", "h", "train.csv", *FIELDS, "--test", "test.csv", "--no-tune", "--json"))
    assert told["report"]["kept"] == "frozen"
    assert told["report"]["leaked"] == 1
    assert told["test_rows"] == 3
    assert told["test_accuracy"] >= 2 / 3
    again = tune("head", "h", "train.csv", *FIELDS, "--test", "test.csv", "--no-tune")
    assert "The existing head stays" in again
    assert f"test rows: {told['test_accuracy']:.4f}" in again
    assert HeadClassifier.open(tmp_path / "h").predict(["my card is lost, help"])[0].label == "lost_card"
    done = CliRunner().invoke(app, ["classify", "predict", "h", "my card is lost, help", "--json"])
    (found,) = json.loads(done.stdout)["predictions"]
    assert (found["label"], found["used_llm"]) == ("lost_card", False)


def test_pairs_are_the_passages_that_hold_the_answers(tmp_path):
    names = [f"/{number}.txt" for number in range(len(TEXTS))]
    documents = [
        Document(document_id(name), name, name, text, "", name, "text/plain")
        for name, text in zip(names, TEXTS, strict=True)
    ]
    asked = [Example("where does the bird live?", "ROME"), Example("where is the cat?", "Paris"), Example("who?", " ")]
    with Index.create(tmp_path / "index") as index:
        index.add_documents(documents)
        ((question, passage),) = pairs_from_index(index, asked)
    assert question == "where does the bird live?"
    assert "blue bird" in passage


@pytest.mark.slow
def test_embedder_that_finds_no_better_is_not_kept(tmp_path):
    pairs = [
        (text.lower(), text) for text in [*TEXTS, "The black snake lives in Bern.", "The white goat lives in Kiel."]
    ]
    options = EmbedderOptions(epochs=1, batch_size=4, learning_rate=1e-9)
    report = fit_embedder(tmp_path, pairs, options=options, val_fraction=0.4)
    assert not report.kept
    assert (report.pairs, report.held_out) == (3, 2)
    assert report.before == report.after == 1
    assert not list(tmp_path.iterdir())
    with pytest.raises(TaskError, match="3 pairs with 3 passages are too few"):
        fit_embedder(tmp_path, pairs[:3])
