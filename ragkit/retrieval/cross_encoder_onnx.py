"""A cross-encoder's ONNX graph, run by onnxruntime without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ragkit._machine import cores
from ragkit.embedding.model_files import read_window
from ragkit.errors import SettingsError


class OnnxPairScorer:
    """Scores pairs of query and passage, one at a time.

    Args:
        folder: folder of the model, with config.json and tokenizer.json.
        graph: its ONNX graph, which gives one logit for a pair.

    Raises:
        SettingsError: if the graph can't be loaded, or gives more than one score for a pair.
    """

    def __init__(self, folder: Path, graph: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # both libraries raise errors without a common class
            raise SettingsError(
                f"The cross-encoder in {folder} can't be loaded: {' '.join(str(error).split())[:300]}.",
                "Get the model again.",
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(read_window(folder), strategy="only_second")
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self._sigmoid = "Identity" not in json.dumps(_settings(folder).get("sentence_transformers") or {})

    def score(self, query: str, passages: Sequence[str]) -> list[float]:
        """Return a score for each passage, between 0 and 1 unless the model's configuration asks for the logit."""
        return [self._score(query, passage) for passage in passages]

    def _score(self, query: str, passage: str) -> float:
        encoded = self._tokenizer.encode(query, passage)
        given = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        wanted = {name: np.array([ids], dtype=np.int64) for name, ids in given.items() if name in self._inputs}
        logits = np.asarray(self._session.run(None, wanted)[0]).reshape(-1)
        if len(logits) != 1:
            raise SettingsError(
                f"The cross-encoder gives {len(logits)} scores for a passage, expected 1.", "Use one that gives one."
            )
        return float(1 / (1 + np.exp(-logits[0]))) if self._sigmoid else float(logits[0])


def _settings(folder: Path) -> dict[str, object]:
    loaded = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return loaded if isinstance(loaded, dict) else {}
