"""Embedding models of the Hub: pulled, opened by name, with their own prompts, pooling and windows."""

import json

import numpy as np
import pytest

from ragkit import Index
from ragkit.embedding import locate, open_embedder
from ragkit.embedding.families import configured_prompts, family
from ragkit.errors import EmbeddingError, ModelNotFoundError, SettingsError
from ragkit.models import pull
from ragkit.models.hub import hub_folders
from ragkit.records import Chunk
from ragkit.retrieval import CrossEncoderReranker
from tests.embedding.small_models import make_cross_encoder, make_encoder, repository, write

TEXTS = ["The last bus back leaves at 23:10.", "The dome is closed on Mondays.", "Der letzte Bus."]


def cosine(left, right):
    return (left * right).sum(axis=1)


def test_pulled_model_opens_by_name_and_an_index_remembers_it(hub, tmp_path):
    files = repository(make_encoder(tmp_path / "made"))
    hub.add("intfloat/multilingual-e5-tiny", files | {"README.md": b"#", "tf_model.h5": bytes(2000)})
    with pytest.raises(EmbeddingError, match="not installed") as caught:
        open_embedder("hf:intfloat/multilingual-e5-tiny")
    assert caught.value.hint == "Get it: ragkit models pull hf:intfloat/multilingual-e5-tiny"
    folder = pull("hf:intfloat/multilingual-e5-tiny")
    assert not (folder / "tf_model.h5").exists()
    hub.close()
    embedder = open_embedder("hf:intfloat/multilingual-e5-tiny", runtime="torch", device="cpu")
    assert (embedder.dimension, embedder.window) == (32, 64)
    assert embedder.model_id.startswith("multilingual-e5-tiny@")
    assert [str(entry.name) for entry in hub_folders()] == ["hf:intfloat/multilingual-e5-tiny"]
    (tmp_path / "bus.txt").write_text(TEXTS[0])
    with Index.open(tmp_path / "index", embedder=embedder, create=True) as index:
        index.sync(tmp_path / "bus.txt")
    with Index.open(tmp_path / "index") as index:
        assert index.embedder.location == "hf:intfloat/multilingual-e5-tiny"
        assert index.embedder.model_id == embedder.model_id


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_onnx_graph_of_a_repository_gives_the_vectors_of_torch(hub, tmp_path, pooling):
    made = make_encoder(tmp_path / "made", pooling=pooling, onnx="onnx/model.onnx")
    files = repository(made)
    hub.add("Acme/both", files)
    del files["model.safetensors"]
    hub.add("Acme/graph", files)
    pull("hf:Acme/both")
    assert (pull("hf:Acme/graph") / "onnx" / "model.onnx").is_file()
    expected = open_embedder("hf:Acme/both", runtime="torch", device="cpu")
    found = open_embedder("hf:Acme/graph")
    assert found.runtime == "onnx"
    np.testing.assert_allclose(cosine(found.embed(TEXTS), expected.embed(TEXTS)), 1, atol=1e-4)
    for own, other in zip(found.embed_tokens(TEXTS), expected.embed_tokens(TEXTS), strict=True):
        np.testing.assert_allclose(cosine(own, other), 1, atol=1e-4)
    with pytest.raises(EmbeddingError, match="no weights"):
        open_embedder("hf:Acme/graph", runtime="torch", device="cpu")


def test_model_that_needs_code_of_its_repository_runs_from_its_graph_alone(hub, tmp_path):
    files = repository(make_encoder(tmp_path / "made", onnx="onnx/model_quantized.onnx"))
    config = json.loads(files["config.json"]) | {"auto_map": {"AutoModel": "modeling.Custom"}}
    files |= {"config.json": json.dumps(config).encode(), "modeling.py": b"raise SystemExit('run')"}
    hub.add("nomic-ai/nomic-embed-text-tiny", files, tags=["custom_code"])
    folder = pull("hf:nomic-ai/nomic-embed-text-tiny")
    assert not (folder / "modeling.py").exists()
    assert not (folder / "model.safetensors").exists()
    embedder = open_embedder("hf:nomic-ai/nomic-embed-text-tiny")
    assert embedder.embed(TEXTS).shape == (3, 32)
    assert locate("hf:nomic-ai/nomic-embed-text-tiny").prompts["query"] == "search_query: "
    del files["onnx/model_quantized.onnx"]
    hub.add("Acme/code", files, tags=["custom_code"])
    with pytest.raises(ModelNotFoundError, match="needs Python code"):
        pull("hf:Acme/code")


@pytest.mark.parametrize(
    ("name", "query", "document", "pooling"),
    [
        ("multilingual-e5-small", "query: ", "passage: ", "mean"),
        ("multilingual-e5-large-instruct", "Instruct: Given a web search query", "", "mean"),
        ("bge-small-en-v1.5", "Represent this sentence for searching relevant passages: ", "", "cls"),
        ("bge-m3", "", "", "cls"),
        ("gte-base-en-v1.5", "", "", "cls"),
        ("gte-small", "", "", "mean"),
        ("Qwen3-Embedding-0.6B", "Instruct: Given a web search query", "", "lasttoken"),
        ("nomic-embed-text-v1.5", "search_query: ", "search_document: ", "mean"),
        ("all-MiniLM-L6-v2", "", "", "mean"),
    ],
)
def test_family_is_known_by_the_name_where_the_files_do_not_say_it(tmp_path, name, query, document, pooling):
    files = locate(make_encoder(tmp_path / name, pooling=None))
    assert files.prompts.get("query", "").startswith(query)
    assert bool(files.prompts.get("query")) == bool(query)
    assert files.prompts.get("document", "") == document
    assert files.pooling == pooling


def test_prompts_of_the_models_own_files_come_first(tmp_path):
    own = {"query": "Q: ", "document": "D: ", "classification": "C: "}
    files = locate(make_encoder(tmp_path / "e5-own", prompts=own))
    assert files.prompts == {"query": "Q: ", "document": "D: "}
    assert configured_prompts({"search_query": "q", "passage": "p"}) == {"query": "q", "document": "p"}
    assert family("no-such-model").prompts == {}


def test_prompts_change_the_vectors_by_kind(tmp_path):
    folder = make_encoder(tmp_path / "e5-tiny", onnx="onnx/model.onnx", weights=False)
    plain = make_encoder(tmp_path / "plain", onnx="onnx/model.onnx", weights=False)
    prompted, bare = open_embedder(folder), open_embedder(plain)
    np.testing.assert_allclose(prompted.embed(TEXTS, "query"), bare.embed([f"query: {text}" for text in TEXTS]))
    np.testing.assert_allclose(prompted.embed(TEXTS), bare.embed([f"passage: {text}" for text in TEXTS]))


def test_reserved_positions_do_not_count_as_window(tmp_path):
    folder = make_encoder(tmp_path / "roberta", pooling=None)
    settings = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", settings | {"model_type": "xlm-roberta", "pad_token_id": 1})
    write(folder / "tokenizer_config.json", {"model_max_length": 10**30})
    assert locate(folder).window == 62


def test_what_the_onnx_runtime_would_get_wrong_is_refused(tmp_path):
    folder = make_encoder(tmp_path / "dense", onnx="onnx/model.onnx", weights=False)
    write(folder / "modules.json", [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    with pytest.raises(EmbeddingError, match="layers after its pooling"):
        open_embedder(folder)
    both = make_encoder(tmp_path / "both")
    modes = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    write(both / "1_Pooling" / "config.json", {"word_embedding_dimension": 64, **modes})
    with pytest.raises(EmbeddingError, match="pools in a way"):
        locate(both)
    graph = make_encoder(tmp_path / "graph", onnx="onnx/model.onnx", weights=False)
    (graph / "onnx" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(EmbeddingError, match="can't be loaded"):
        open_embedder(graph)


def test_cross_encoder_of_the_hub_reranks_by_name_with_and_without_torch(hub, tmp_path):
    made = make_cross_encoder(tmp_path / "made")
    with pytest.raises(EmbeddingError, match="cross-encoder"):
        locate(made)
    files = repository(made)
    hub.add("Acme/reranker", {name: data for name, data in files.items() if not name.startswith("onnx/")})
    hub.add("Acme/reranker-onnx", {name: data for name, data in files.items() if name != "model.safetensors"})
    with pytest.raises(SettingsError, match="not installed"):
        CrossEncoderReranker("hf:Acme/reranker")
    pull("hf:Acme/reranker")
    pull("hf:Acme/reranker-onnx")
    chunks = [Chunk("d", number, 0, len(text), text, 1) for number, text in enumerate([*TEXTS, "bus " * 200])]
    expected = CrossEncoderReranker("hf:Acme/reranker").score("When does the bus leave?", chunks)
    found = CrossEncoderReranker("hf:Acme/reranker-onnx").score("When does the bus leave?", chunks)
    assert found == pytest.approx(expected, abs=1e-4)
    assert len({round(score, 4) for score in found}) > 1
