"""The exact search of the GPU path; its torch code runs on the CPU where there is no GPU."""

import threading

import numpy as np
import pytest

from ragkit.indexing.gpu import GpuVectorFile
from ragkit.indexing.vectors import VectorOptions, build_vector_file, open_vector_file

ROWS, DIMENSION = 3000, 32


def _cuda():
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not _cuda():
        pytest.skip("torch finds no CUDA device")
    return request.param


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(3)
    vectors = random.standard_normal((ROWS + 5, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[100:120] = vectors[100]
    return np.arange(ROWS, dtype=np.int64) * 3 + 1, vectors[:ROWS], vectors[ROWS:]


def files(data, tmp_path, device, options):
    build_vector_file(tmp_path / "file", data[0], data[1], options)
    exact = VectorOptions(ivf_threshold=options.ivf_threshold, nprobe=10**6)
    return open_vector_file(tmp_path / "file", exact), GpuVectorFile(tmp_path / "file", options, device)


@pytest.mark.parametrize("options", [VectorOptions(), VectorOptions(ivf_threshold=100)], ids=["flat", "ivf"])
def test_gpu_search_gives_the_hits_of_the_cpu(data, tmp_path, device, options):
    on_cpu, on_gpu = files(data, tmp_path, device, options)
    keys, _, queries = data
    random = np.random.default_rng(4)
    some = np.sort(random.choice(keys, 700, replace=False))
    for query in queries:
        for chosen in ({}, {"allowed": some}, {"denied": some}):
            wanted, found = on_cpu.search(query, 10, **chosen), on_gpu.search(query, 10, **chosen)
            np.testing.assert_array_equal(found[0], wanted[0])
            np.testing.assert_allclose(found[1], wanted[1], atol=1e-5)


def test_gpu_search_settles_ties_by_key(data, tmp_path, device):
    _, on_gpu = files(data, tmp_path, device, VectorOptions())
    keys, vectors, _ = data
    assert on_gpu.search(vectors[100], 5)[0].tolist() == keys[100:105].tolist()


def test_gpu_search_for_a_billion_hits_gives_every_row_once(data, tmp_path, device):
    _, on_gpu = files(data, tmp_path, device, VectorOptions())
    assert np.array_equal(np.sort(on_gpu.search(data[2][0], 10**9)[0]), data[0])


def test_gpu_search_of_nothing_is_empty(data, tmp_path, device):
    _, on_gpu = files(data, tmp_path, device, VectorOptions())
    none = np.zeros(0, dtype=np.int64)
    assert len(on_gpu.search(data[2][0], 5, allowed=none)[0]) == 0
    assert len(on_gpu.search(data[2][0], 5, denied=data[0])[0]) == 0
    assert len(on_gpu.search(data[2][0], 0)[0]) == 0


class Meeting:
    """A FAISS index that notices two threads within it at once; FAISS on a GPU does not survive that."""

    def __init__(self, index):
        self.index = index
        self.met = False
        self._both = threading.Barrier(2)

    def search(self, query, k):
        try:
            self._both.wait(0.3)
            self.met = True
        except threading.BrokenBarrierError:
            pass
        return self.index.search(query, k)


def test_threads_search_faiss_on_a_gpu_one_after_another(data, tmp_path):
    import faiss

    keys, vectors, queries = data
    _, file = files(data, tmp_path, "cpu", VectorOptions())
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(DIMENSION))
    index.add_with_ids(vectors, keys)
    file._faiss = Meeting(index)
    found = [None] * len(queries)

    def search(number):
        found[number] = file.search(queries[number], 5)[0].tolist()

    threads = [threading.Thread(target=search, args=(number,)) for number in range(len(queries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not file._faiss.met
    assert found == [file._torch.search(query, 5)[0].tolist() for query in queries]
