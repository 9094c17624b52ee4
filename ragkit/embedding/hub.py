"""Selects and locates the files that an embedding model or a cross-encoder needs from a Hugging Face repository."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from ragkit._hub import Downloaded, HubFile, HubName, Repository, downloaded, parse_name
from ragkit.errors import EmbeddingError, ModelNotFoundError

GRAPHS = (
    "onnx/model_quantized.onnx",
    "onnx/model_int8.onnx",
    "onnx/model_quint8_avx2.onnx",
    "onnx/model.onnx",
    "model.onnx",
)
"""Paths of ONNX graphs in repositories, int8 ones first."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SETTINGS = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


def model_files(repo: Repository) -> tuple[HubFile, ...]:
    """Return the files to download: settings, tokenizer, and the weights or an ONNX graph.

    The graph is taken where torch is not installed, and for models that need Python code of their repository, which
    ragkit never runs.

    Raises:
        ModelNotFoundError: if it contains no model that ragkit runs.
    """
    by_path = {file.path: file for file in repo.files}
    missing = [name for name in ("config.json", "tokenizer.json") if name not in by_path]
    shards = [file for file in repo.files if _is_shard(file.path)]
    weights = [by_path[name] for name in WEIGHTS if name in by_path][:1] or shards
    graph = next((by_path[name] for name in GRAPHS if name in by_path), None)
    if missing or (not weights and graph is None):
        raise ModelNotFoundError(
            f"{repo.name} contains no model for ragkit: it has no {', '.join(missing) or 'weights or ONNX graph'}.",
            "Name a repository with GGUF files, an embedding model or a cross-encoder.",
        )
    if repo.custom_code and graph is None:
        raise ModelNotFoundError(
            f"{repo.name} needs Python code of its repository, which ragkit does not run, and has no ONNX graph.",
            "Choose a model that transformers supports itself, or a conversion with a file onnx/model.onnx.",
        )
    settings = [file for file in repo.files if file.path in _SETTINGS or _is_module(file.path)]
    if graph is not None and (repo.custom_code or not weights or find_spec("torch") is None):
        data = [file for file in repo.files if file.path in (f"{graph.path}_data", f"{graph.path}.data")]
        return (*settings, graph, *data)
    return (*settings, *weights)


def is_model_folder(entry: Downloaded) -> bool:
    """Return whether a downloaded repository contains an embedding model or a cross-encoder, complete."""
    paths = {file.path for file in entry.files if entry.path(file).is_file()}
    model = paths & {*WEIGHTS, *GRAPHS} or any(map(_is_shard, paths))
    return "config.json" in paths and "tokenizer.json" in paths and bool(model)


def downloaded_model(name: str) -> Downloaded:
    """Return the downloaded repository of ``hf:OWNER/REPO``.

    Raises:
        SettingsError: if the name has another form.
        EmbeddingError: if it was not downloaded.
    """
    parsed = parse_name(name)
    found = downloaded(HubName(parsed.repo, parsed.revision))
    if found is None or not is_model_folder(found):
        raise EmbeddingError(f"The model {name} is not installed.", f"Get it: ragkit models pull {name}")
    return found


def weights_sha256(entry: Downloaded) -> str | None:
    """Return the sha256 of a repository's weights, which may not be downloaded themselves."""
    return next((entry.known[name] for name in WEIGHTS if name in entry.known), None)


def has_weights(folder: Path) -> bool:
    """Return whether a model folder contains weights for torch."""
    return any(file.is_file() for file in (*(folder / name for name in WEIGHTS), *folder.glob("model-*.safetensors")))


def find_graph(folder: Path) -> Path | None:
    """Return the ONNX graph of a model folder, an int8 one first."""
    return next((folder / name for name in GRAPHS if (folder / name).is_file()), None)


def _is_shard(path: str) -> bool:
    return "/" not in path and path.startswith("model") and path.endswith((".safetensors", ".safetensors.index.json"))


def _is_module(path: str) -> bool:
    """Return whether a file belongs to a module of sentence-transformers, such as ``1_Pooling/config.json``."""
    parts = PurePosixPath(path).parts
    return len(parts) == 2 and parts[0][:1].isdigit() and parts[1] in ("config.json", "model.safetensors")
