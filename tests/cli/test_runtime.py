"""The settings of the runtime and the device reach every command that opens an embedding model or searches vectors."""

import json
import shutil
from pathlib import Path

import pytest

from ragkit.embedding import open_embedder, opening, runtime_report, set_default_runtime
from ragkit.embedding.sentence_transformer import SentenceTransformerEmbedder
from ragkit.errors import SettingsError
from ragkit.indexing.gpu import GpuVectorFile
from ragkit.tuning.lora.base_model import best_device
from tests.cli.test_examples import FIELDS, write_csv
from tests.examples.conftest import EXAMPLES

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(autouse=True)
def default():
    yield
    set_default_runtime()


@pytest.fixture
def gpu(monkeypatch):
    """Make torch say that there is a GPU, and opening a model on it an error."""
    torch = pytest.importorskip("torch")
    exists = opening.Path.exists

    def exists_or_driver(path, **options):
        return str(path) == "/proc/driver/nvidia/version" or exists(path, **options)

    def refuse(*_, **options):
        raise AssertionError(f"opened with torch {options}, although the settings name ONNX and the CPU")

    monkeypatch.setattr(opening.Path, "exists", exists_or_driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(SentenceTransformerEmbedder, "__init__", refuse)
    monkeypatch.setattr(GpuVectorFile, "__init__", refuse)


def test_every_command_embeds_and_searches_as_the_settings_say(here, gpu, tmp_path, monkeypatch):
    assert runtime_report().device == "cuda"
    monkeypatch.setenv("RAGKIT_EMBEDDING_RUNTIME", "onnx")
    monkeypatch.setenv("RAGKIT_DEVICE", "cpu")
    (tmp_path / "docs").mkdir()
    shutil.copy(SAMPLES / "faq.html", tmp_path / "docs")
    write_csv(tmp_path / "train.csv", [(example.input, example.output) for example in EXAMPLES])
    (tmp_path / "q.jsonl").write_text('{"question": "When does the last bus back leave?", "answers": ["23:10"]}\n')
    for words in (
        ("sync", "docs", "--index", "own"),
        ("search", "own", "last bus"),
        ("ask", "own", "When does the last bus back leave?", "--model", "none"),
        ("ask", "docs", "When does the last bus back leave?", "--model", "none"),
        ("eval", "own", "q.jsonl", "--model", "none", "-o", "report.html"),
        ("examples", "add", "train.csv", "--pool", "bank", *FIELDS),
        ("classify", "fit", "task", "train.csv", *FIELDS, "--llm-mode", "none"),
        ("classify", "predict", "task", "my card is lost"),
        ("tune", "head", "head", "train.csv", *FIELDS, "--no-tune"),
        ("repair", "own"),
    ):
        here(*words, cwd=tmp_path)


def test_doctor_tells_the_runtime_of_the_settings(here, tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_EMBEDDING_RUNTIME", "torch")
    monkeypatch.setenv("RAGKIT_DEVICE", "cpu")
    told = json.loads(here("doctor", "--json", cwd=tmp_path).stdout)["embedding"]
    assert (told["runtime"], told["device"], told["reason"]) == ("torch", "cpu", "asked for")


def test_settings_that_exclude_each_other_are_told(here, tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_EMBEDDING_RUNTIME", "onnx")
    monkeypatch.setenv("RAGKIT_DEVICE", "cuda")
    assert "on the CPU only" in here("search", "docs", "bus", cwd=tmp_path, check=2).stderr


def test_runtime_that_a_call_names_goes_before_the_default():
    set_default_runtime("torch", "cpu")
    assert open_embedder(runtime="onnx").runtime == "onnx-int8"
    set_default_runtime("onnx")
    assert runtime_report(runtime="torch", device="cpu").runtime == "torch"
    assert runtime_report(device="cuda").device == "cuda"
    with pytest.raises(SettingsError, match="Unknown device"):
        set_default_runtime(device="gpu")


def test_device_of_the_process_holds_for_searching_and_training(gpu):
    assert best_device() == "cuda"
    set_default_runtime(device="cpu")
    assert best_device() == "cpu"
    assert not opening.cuda_works()
