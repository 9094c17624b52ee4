"""The linear probe: learns, keeps to its labels, and is read back or refused."""

import numpy as np
import pytest

from ragkit.errors import TaskError
from ragkit.tasks.probe import LinearProbe

RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(size=(3, 16)).astype(np.float32)
LABELS = [0, 2, 3]


def some(count):
    numbers = RANDOM.integers(3, size=count)
    vectors = CENTRES[numbers] + RANDOM.normal(scale=0.5, size=(count, 16)).astype(np.float32)
    return vectors, [LABELS[number] for number in numbers]


@pytest.fixture(scope="module")
def probe():
    return LinearProbe.fit(*some(200), count=4)


def test_probe_tells_classes_apart(probe):
    vectors, labels = some(200)
    found = probe.log_probabilities(vectors)
    assert (found.argmax(axis=1) == labels).mean() > 0.95
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)


def test_label_without_examples_is_unlikely_and_not_impossible(probe):
    found = probe.log_probabilities(some(50)[0])
    assert np.isfinite(found).all()
    assert found[:, 1].max() < -5


def test_two_classes_are_told_apart_too():
    vectors, labels = some(200)
    two = [number for number, label in enumerate(labels) if label != 2]
    probe = LinearProbe.fit(vectors[two], [labels[n] for n in two], count=4)
    found = probe.log_probabilities(vectors[two]).argmax(axis=1)
    assert (found == [labels[n] for n in two]).mean() > 0.95


def test_probe_is_read_back_the_same(probe, tmp_path):
    probe.save(tmp_path)
    vectors, _ = some(20)
    again = LinearProbe.open(tmp_path, 4, 16)
    np.testing.assert_array_equal(again.log_probabilities(vectors), probe.log_probabilities(vectors))
    assert [file.name for file in tmp_path.iterdir()] == ["probe.npz"]


def test_probe_that_does_not_fit_or_is_damaged_is_refused(probe, tmp_path):
    with pytest.raises(TaskError, match="can't be read"):
        LinearProbe.open(tmp_path, 4, 16)
    probe.save(tmp_path)
    with pytest.raises(TaskError, match="4 labels and 16 dimensions; the task has 5 labels"):
        LinearProbe.open(tmp_path, 5, 16)
    file = tmp_path / "probe.npz"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(TaskError, match="can't be read"):
        LinearProbe.open(tmp_path, 4, 16)
    with file.open("wb") as out:
        np.savez(out, weights=np.array([{"a": 1}], dtype=object), bias=np.zeros(4))
    with pytest.raises(TaskError, match="can't be read"):
        LinearProbe.open(tmp_path, 4, 16)
