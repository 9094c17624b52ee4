"""Curation: rare topics are represented, duplicates are not, quality counts."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from ragkit.cli.main import app
from ragkit.datagen.curate import CurationOptions, curate
from ragkit.errors import DataError


def unit(rows):
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def skewed():
    """Return 300 rows of one topic and 20 of each of 5 others."""
    random = np.random.default_rng(0)
    centres = unit(random.normal(size=(6, 32)))
    sizes = [300, 20, 20, 20, 20, 20]
    topics = np.repeat(np.arange(6), sizes)
    return unit(centres[topics] + 0.08 * random.normal(size=(400, 32))), topics


def test_rare_topics_get_more_than_their_share(skewed):
    vectors, topics = skewed
    found = curate(vectors, [5] * 400, 24, options=CurationOptions(topics=6))
    counts = np.bincount(topics[list(found.chosen)], minlength=6)
    assert len(set(found.chosen)) == 24
    assert counts.min() >= 2
    assert counts[0] < 12
    assert found.curated.coverage > found.random.coverage


def test_quality_decides_among_rows_that_are_alike(skewed):
    vectors, _ = skewed
    quality = np.random.default_rng(1).random(400)
    plain = curate(vectors, [5] * 400, 40, quality, options=CurationOptions(quality_weight=0))
    best = curate(vectors, [5] * 400, 40, quality, options=CurationOptions(quality_weight=0.8))
    assert best.curated.quality > 0.7 > plain.curated.quality
    assert best.random.quality == pytest.approx(0.5, abs=0.1)
    # Only the order of the qualities matters.
    assert curate(vectors, [5] * 400, 40, 100 * quality**3, options=CurationOptions(0.8)).chosen == best.chosen


def test_duplicates_are_chosen_last():
    vectors = unit(np.concatenate([np.eye(8), np.repeat(np.eye(8)[:1], 50, axis=0)]))
    assert sorted(curate(vectors, [1] * 58, 8).chosen) == list(range(8))


def test_command_writes_the_chosen_rows_and_measures_others_beside_them(tmp_path):
    questions = [
        f"When does the {place} open in {month}?"
        for place in ("dome", "shop", "library", "café")
        for month in ("May", "June", "July", "March", "April")
    ]
    questions += ["What does a telescope cost?", "Who discovered Neptune?"]
    source, output = tmp_path / "rows.jsonl", tmp_path / "chosen.jsonl"
    rows = [{"question": text, "answer": "x", "scores": {"confidence": n / 30}} for n, text in enumerate(questions)]
    source.write_text("\n".join(json.dumps(row) for row in rows))
    command = ["data", "curate", str(source), "-n", "6", "--quality", "confidence", "-o", str(output), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert [json.loads(line) for line in output.read_text().splitlines()] == [rows[n - 1] for n in told["chosen"]]
    assert len(told["chosen"]) == 6
    assert told["curated"]["quality"] > told["random"]["quality"]
    refused = CliRunner().invoke(app, ["data", "curate", str(source), "-n", "6", "--quality", "beauty"])
    assert isinstance(refused.exception, DataError)
    assert "confidence" in refused.exception.hint


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="There are 3 rows, and 3 are to be chosen"):
        curate(unit(np.eye(3)), [1, 1, 1], 3)
