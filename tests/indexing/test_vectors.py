"""Vector files: against exact brute force, filtered and not, flat and IVF."""

import numpy as np
import pytest

from ragkit.errors import IndexDamagedError
from ragkit.indexing.vectors import VectorOptions, best, build_vector_file, open_vector_file

ROWS, DIMENSION = 12_000, 64
OPTIONS = {"flat": VectorOptions(), "ivf": VectorOptions(ivf_threshold=1000)}


def unit(array):
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def data():
    """Clustered unit vectors under keys with gaps, not in order."""
    random = np.random.default_rng(3)
    centres = random.standard_normal((60, DIMENSION))
    vectors = unit(centres[random.integers(0, 60, ROWS)] + random.standard_normal((ROWS, DIMENSION)))
    keys = random.permutation(np.arange(ROWS, dtype=np.int64) * 7 + 3)
    queries = unit(centres[:20] + random.standard_normal((20, DIMENSION)))
    return keys, vectors, queries


@pytest.fixture(scope="module", params=["flat", "ivf"])
def file(request, data, tmp_path_factory):
    keys, vectors, _ = data
    path = tmp_path_factory.mktemp("vectors") / "file"
    options = OPTIONS[request.param]
    assert build_vector_file(path, keys, vectors, options) == request.param
    return open_vector_file(path, options)


def exact(data, query, k, among=None):
    keys, vectors, _ = data
    chosen = np.ones(len(keys), dtype=bool) if among is None else np.isin(keys, among)
    return best(keys[chosen], vectors[chosen] @ query, k)


def assert_same_hits(found, wanted):
    """The same scores rank by rank, and the same keys but where float16 can't tell two apart."""
    assert len(found[0]) == len(wanted[0])
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-3)
    clear = wanted[1] > (wanted[1][-1] if len(wanted[1]) else 0) + 2e-3
    assert set(wanted[0][clear].tolist()) <= set(found[0].tolist())


def test_search_finds_what_brute_force_finds(file, data):
    shared = 0
    for query in data[2]:
        found, wanted = file.search(query, 10), exact(data, query, 10)
        assert np.all(np.diff(found[1]) <= 0)
        shared += len(np.intersect1d(found[0], wanted[0]))
    assert shared >= 0.95 * 10 * len(data[2])


@pytest.mark.parametrize("share", [1e-4, 1e-3, 1e-2, 0.1])
def test_search_among_allowed_keys_gives_k_hits_and_the_right_ones(file, data, share):
    random = np.random.default_rng(5)
    allowed = np.sort(random.choice(data[0], max(1, int(share * ROWS)), replace=False))
    for query in data[2]:
        found = file.search(query, 10, allowed=allowed)
        assert len(found[0]) == min(10, len(allowed))
        assert np.isin(found[0], allowed).all()
        assert_same_hits(found, exact(data, query, 10, allowed))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_search_among_many_allowed_keys_gives_k_hits_of_high_recall(file, data, share):
    allowed = np.sort(np.random.default_rng(5).choice(data[0], int(share * ROWS), replace=False))
    shared = 0
    for query in data[2]:
        found, wanted = file.search(query, 10, allowed=allowed), exact(data, query, 10, allowed)
        assert len(found[0]) == 10
        assert np.isin(found[0], allowed).all()
        shared += len(np.intersect1d(found[0], wanted[0]))
    assert shared >= 0.95 * 10 * len(data[2])


def test_search_among_keys_far_from_the_query_finds_them(file, data):
    keys, vectors, queries = data
    scores = vectors @ queries[0]
    farthest = np.sort(keys[np.argsort(scores)[:25]])
    assert_same_hits(file.search(queries[0], 10, allowed=farthest), exact(data, queries[0], 10, farthest))


def test_search_leaves_denied_keys_out(file, data):
    query = data[2][0]
    denied = np.sort(file.search(query, 50)[0])
    found = file.search(query, 10, denied=denied)
    assert len(found[0]) == 10
    assert not np.isin(found[0], denied).any()


def test_search_where_nearly_all_is_denied_finds_the_rest(file, data):
    keys, vectors, queries = data
    left = np.sort(keys[np.argsort(vectors @ queries[0])[:12]])
    found = file.search(queries[0], 10, denied=np.setdiff1d(keys, left))
    assert_same_hits(found, exact(data, queries[0], 10, left))


def test_search_for_a_billion_hits_gives_every_row_once(file, data):
    keys, scores = file.search(data[2][0], 10**9)
    assert np.array_equal(np.sort(keys), np.sort(data[0]))
    assert np.all(np.diff(scores) <= 0)


def test_search_among_keys_the_file_does_not_hold_is_empty(file, data):
    assert len(file.search(data[2][0], 5, allowed=np.array([0, 1], dtype=np.int64))[0]) == 0
    assert len(file.search(data[2][0], 5, allowed=np.zeros(0, dtype=np.int64))[0]) == 0
    assert len(file.search(data[2][0], 0)[0]) == 0


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_build_twice_gives_the_same_bytes(kind, data, tmp_path):
    keys, vectors, _ = data
    for name in "ab":
        build_vector_file(tmp_path / name, keys, vectors, OPTIONS[kind])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_best_settles_ties_by_key():
    keys = np.array([9, 2, 7, 4, 1], dtype=np.int64)
    scores = np.array([0.5, 0.5, 0.9, 0.5, 0.1], dtype=np.float32)
    assert best(keys, scores, 3)[0].tolist() == [7, 2, 4]
    assert best(keys, scores, 99)[0].tolist() == [7, 2, 4, 9, 1]
    assert len(best(keys, scores, 0)[0]) == 0


def test_open_of_something_else_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"not a vector file")
    with pytest.raises(IndexDamagedError, match="can't be read as a vector file"):
        open_vector_file(tmp_path / "file", VectorOptions())
