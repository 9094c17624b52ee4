"""The reference runtime: sentence-transformers, on a GPU or a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ragkit.embedding.base import TextKind, Vectors
from ragkit.embedding.model_files import ModelFiles
from ragkit.embedding.tokenizer import FastTokenizer
from ragkit.embedding.windows import fit, gather, unit
from ragkit.errors import EmbeddingError


class SentenceTransformerEmbedder:
    """Embeds with sentence-transformers.

    Args:
        files: the model, as ``locate`` found it.
        device: ``cpu`` or ``cuda``.
        batch_size: texts per batch; 0 for 256 on a GPU and 8 on a CPU.

    Raises:
        EmbeddingError: if the model can't be loaded on that device.
    """

    def __init__(self, files: ModelFiles, device: str = "cpu", batch_size: int = 0) -> None:
        from sentence_transformers import SentenceTransformer

        self.model_id = f"{files.name}@{files.weights_sha256()[:12]}"
        self.runtime = f"sentence-transformers ({device})"
        self.location = files.location
        self.dimension = files.dimension
        self.window = files.window
        self.tokenizer = FastTokenizer(files.folder / "tokenizer.json")
        self._files = files
        self._batch_size = batch_size or (256 if device == "cuda" else 8)
        try:
            self._model = SentenceTransformer(str(files.folder), device=device, local_files_only=True)
        except (OSError, RuntimeError, ValueError, AssertionError) as error:
            raise EmbeddingError(
                f"{files.name} can't be loaded on {device}: {error}.",
                "Try device='cpu', or save the model again.",
            ) from error

    def embed(self, texts: Sequence[str], kind: TextKind = "document") -> Vectors:
        """Return one unit vector per text: float32 ``[n, dimension]``.

        Raises:
            EmbeddingError: if a document is longer than the window.
        """
        pieces, owners = fit(texts, kind, self._files.prompts, self.tokenizer, self.window)
        if not pieces:
            return np.zeros((0, self.dimension), dtype=np.float32)
        vectors = self._model.encode(
            pieces, prompt="", batch_size=self._batch_size, convert_to_numpy=True, show_progress_bar=False
        )
        return gather(unit(np.asarray(vectors, dtype=np.float32)), owners, len(texts))

    def embed_tokens(self, texts: Sequence[str], kind: TextKind = "document") -> list[Vectors]:
        """Return unit vectors of each text's tokens: float32 ``[tokens, dimension]``, specials left out."""
        pieces, owners = fit(texts, kind, self._files.prompts, self.tokenizer, self.window)
        parts: list[list[Vectors]] = [[] for _ in texts]
        if pieces:
            found = self._model.encode(
                pieces,
                prompt="",
                batch_size=self._batch_size,
                output_value="token_embeddings",
                convert_to_numpy=False,
                show_progress_bar=False,
            )
            for owner, hidden in zip(owners, found, strict=True):
                vectors = hidden.float().cpu().numpy()
                parts[owner].append(unit(vectors[self.tokenizer.inner]))
        return [np.concatenate(vectors) for vectors in parts]
