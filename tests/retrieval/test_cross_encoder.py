"""A cross-encoder from a folder: the real library with a model too small to know anything."""

import shutil

import pytest

from ragkit.embedding import locate
from ragkit.errors import SettingsError
from ragkit.records import Chunk
from ragkit.retrieval import RetrievalOptions, Retriever
from ragkit.retrieval.cross_encoder import CrossEncoderReranker

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ferry", "cheese", "seven", "bus", "ticket", "telescope", "the"]


def save_model(folder, labels):
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=labels,
        initializer_range=1.0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("cross") / "model", 1)


def chunk_of(text):
    return Chunk("d", 0, 0, len(text), text, 1)


def test_cross_encoder_scores_each_chunk_for_itself(folder):
    reranker = CrossEncoderReranker(folder)
    texts = ["the ferry", "cheese cheese seven", "telescope " * 900]
    together = reranker.score("bus ticket", [chunk_of(text) for text in texts])
    alone = [reranker.score("bus ticket", [chunk_of(text)])[0] for text in texts]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len({round(score, 4) for score in together}) == 3
    assert reranker.score("bus ticket", []) == []


def test_cross_encoder_saved_by_its_library_is_taken(folder, tmp_path):
    first = CrossEncoderReranker(folder)
    first._model.save_pretrained(str(tmp_path / "saved"))
    chunks = [chunk_of("the ferry"), chunk_of("cheese")]
    assert (tmp_path / "saved" / "modules.json").is_file()
    assert CrossEncoderReranker(tmp_path / "saved").score("bus", chunks) == pytest.approx(first.score("bus", chunks))


def test_cross_encoder_takes_lone_surrogates(folder):
    reranker = CrossEncoderReranker(folder)
    assert reranker.score("bus \ud800", [chunk_of("ferry \udfff")]) == pytest.approx(
        reranker.score("bus \ufffd", [chunk_of("ferry \ufffd")])
    )


def test_cross_encoder_orders_the_head_and_the_tail_stays(samples, folder):
    query = "What does a family ticket cost on the bus?"
    plain = Retriever(samples, RetrievalOptions(k=9)).search(query)
    found = Retriever(samples, RetrievalOptions(k=9, rerank=str(folder), rerank_candidates=5)).search(query)
    scores = CrossEncoderReranker(folder).score(query, [hit.chunk for hit in plain[:5]])
    order = sorted(range(5), key=lambda n: (-scores[n], plain[n].chunk.key))
    assert order != [0, 1, 2, 3, 4]
    assert [hit.chunk for hit in found] == [plain[n].chunk for n in order] + [hit.chunk for hit in plain[5:]]
    assert [hit.score for hit in found[:5]] == pytest.approx([scores[n] for n in order], abs=1e-5)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


def test_cross_encoder_folder_that_is_not_there_says_so(samples, tmp_path):
    missing = tmp_path / "no-such-model"
    with pytest.raises(SettingsError, match="no-such-model contains no cross-encoder"):
        CrossEncoderReranker(missing)
    with pytest.raises(SettingsError, match="no-such-model contains no cross-encoder"):
        Retriever(samples, RetrievalOptions(rerank=str(missing))).search("bus")


@pytest.mark.parametrize("rerank", ["lat", "Late", ""])
def test_cross_encoder_unknown_rerank_is_taken_for_a_folder(samples, rerank, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="contains no cross-encoder"):
        Retriever(samples, RetrievalOptions(rerank=rerank)).search("bus")


@pytest.mark.parametrize(
    "damage",
    [
        lambda model: (model / "config.json").write_text("{"),
        lambda model: (model / "config.json").write_text("{}"),
        lambda model: (model / "model.safetensors").unlink(),
        lambda model: (model / "model.safetensors").write_bytes(b"short"),
    ],
)
def test_cross_encoder_that_is_damaged_says_which(folder, tmp_path, damage):
    model = tmp_path / "damaged"
    shutil.copytree(folder, model)
    damage(model)
    with pytest.raises(SettingsError, match="damaged can't be loaded"):
        CrossEncoderReranker(model)


def test_cross_encoder_refuses_an_embedding_model():
    with pytest.raises(SettingsError, match="contains an embedding model"):
        CrossEncoderReranker(locate(weights=True).folder)


def test_cross_encoder_refuses_a_model_of_several_scores(tmp_path):
    with pytest.raises(SettingsError, match="gives 3 scores a passage"):
        CrossEncoderReranker(save_model(tmp_path / "classes", 3))
