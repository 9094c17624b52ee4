"""The quality filter keeps prose and rejects navigation, garbled text, lists of numbers and boilerplate."""

import json
import random

import numpy as np
import pytest
from typer.testing import CliRunner

from ragkit.cli.main import app
from ragkit.datagen.planted_text import planted
from ragkit.datagen.quality import QualityFilter, fit_quality
from ragkit.embedding import open_embedder
from ragkit.errors import DataError
from ragkit.indexing import Index

REAL_BAD = [
    "Home | Products | Downloads | Support | About us | Contact | Sitemap | Log in | Register",
    "1994 12.5 8.1 77 102.4\n1995 13.1 8.4 79 99.0\n1996 12.9 8.8 81 97.3\n1997 14.0 9.1 85 95.5",
    "© 2024 Example Inc. All rights reserved. Privacy policy. Cookie settings. Subscribe to our newsletter.",
    "Tbe 0bs3rvat0ry w@s bui1t 1n l897 and rnoved t0 tbe bi11 abcve tbe t0wn wben tbe ligbts gr3w t00 brigbt.",
]
REAL_GOOD = [
    "The river rises in the hills west of the town. In spring it floods the meadows, and the path is closed.",
    "A telescope gathers light. The larger its mirror, the fainter the stars that it shows at any magnification.",
    "Please return the key to the office before noon. If nobody is there, put it into the box beside the door.",
]


@pytest.fixture(scope="module")
def good(sample_index):
    with Index.open(sample_index) as index:
        parts = [part for document in index.each_document() for part in document.text.split("\n\n")]
    return [part for part in parts if len(part) > 100 and "|" not in part][:30]


@pytest.fixture(scope="module")
def filter_file(good, tmp_path_factory):
    """Return a filter that the command fitted on rows of good answers."""
    folder = tmp_path_factory.mktemp("quality")
    rows = folder / "good.jsonl"
    rows.write_text("\n".join(json.dumps({"question": "Tell me more.", "answer": part}) for part in good))
    command = ["data", "quality", "fit", str(rows), "-o", str(folder / "quality.json"), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["good"] == len(good)
    return folder / "quality.json"


@pytest.fixture(scope="module")
def fitted(filter_file):
    return QualityFilter.load(filter_file)


def test_text_that_nobody_planted_is_separated(fitted):
    embedder = open_embedder()
    assert fitted.scores(REAL_GOOD, embedder).min() > fitted.scores(REAL_BAD, embedder).max()
    assert fitted.card.taught_by == "planted"
    assert fitted.card.auroc > 0.9
    assert fitted.card.precision >= 0.9


def test_filter_survives_its_file(fitted, tmp_path):
    fitted.save(tmp_path / "quality.json")
    loaded = QualityFilter.load(tmp_path / "quality.json")
    embedder = open_embedder()
    assert np.array_equal(loaded.scores(REAL_BAD, embedder), fitted.scores(REAL_BAD, embedder))
    assert (loaded.threshold, loaded.card) == (fitted.threshold, fitted.card)


def test_labels_teach_what_planted_text_cannot(good):
    bad = [f"{text[:80]} Buy now, buy two, only today!" for text in good]
    own = fit_quality(good, open_embedder(), bad)
    assert own.card.taught_by == "labels"
    assert own.card.auroc > 0.95


def test_planted_text_is_reproducible_and_of_each_kind():
    text = "The dome opens at seven. Visitors wait at the gate until the guide arrives with the keys."
    first = planted(text, random.Random(3))
    assert first == planted(text, random.Random(3))
    assert set(first) == {"navigation", "ocr noise", "shuffled", "numbers", "boilerplate"}
    assert sorted(first["shuffled"].split()) == sorted(text.split())


def test_command_rejects_bad_documents(filter_file, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "good.txt").write_text(" ".join(REAL_GOOD))
    (docs / "bad.txt").write_text("\n".join(REAL_BAD[:3]))
    output = tmp_path / "kept.jsonl"
    command = ["data", "quality", "apply", str(docs), "--filter", str(filter_file), "-o", str(output), "--json"]
    told = json.loads(CliRunner().invoke(app, command).output)
    scores = {row["name"].rsplit("/", 1)[-1]: row["score"] for row in told["rows"]}
    assert scores["good.txt"] > scores["bad.txt"]
    kept = [json.loads(line) for line in output.read_text().splitlines()]
    removed = [json.loads(line) for line in (tmp_path / "kept.removed.jsonl").read_text().splitlines()]
    assert len(kept) == told["kept"]
    assert len(kept) + len(removed) == 2


def test_too_few_texts_and_other_files_are_refused(good, tmp_path):
    with pytest.raises(DataError, match="at least 20 good texts, got 3"):
        fit_quality(REAL_GOOD, open_embedder())
    (tmp_path / "x.json").write_text('{"format": "other"}')
    with pytest.raises(DataError, match="is not a quality filter"):
        QualityFilter.load(tmp_path / "x.json")
