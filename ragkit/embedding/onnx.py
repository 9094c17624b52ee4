"""The ONNX int8 runtime: the default on a CPU, without torch.

Texts run one at a time, in parallel on all cores. Dynamic quantisation scales activations over a complete batch, so in
a batch, a text's vector would depend on the other texts (cosine down to .990). Alone, it depends on the text only, and
on a CPU this is not slower.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from ragkit._machine import cache_folder, cores
from ragkit._process import run
from ragkit.embedding.base import TextKind, Vectors
from ragkit.embedding.model_files import ModelFiles
from ragkit.embedding.recent import RecentVectors
from ragkit.embedding.tokenizer import FastTokenizer
from ragkit.embedding.windows import fit, gather, unit
from ragkit.errors import EmbeddingError, MissingExtraError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids"})
"""Inputs that a graph may have."""
_EXPORT_VARIABLES = ("OMP_", "MKL_", "OPENBLAS_", "KMP_", "CUDA_", "TORCH")
"""Prefixes of the environment variables that torch reads: its threads and devices."""
_BUNDLED: WeakValueDictionary[tuple[Path, int, int], _Graph] = WeakValueDictionary()
"""Loaded bundled graphs by file, size and modification time: indexes and pools of a process share one in memory."""
_LOADING = Lock()


class OnnxEmbedder:
    """Embeds with onnxruntime on the CPU, from an int8 graph that is exported once and kept in the cache folder.

    Args:
        files: the model, as ``locate`` found it.
        threads: number of texts embedded in parallel; 0 for one per core.

    Raises:
        EmbeddingError: if the model can't be exported or its graph can't be loaded.
    """

    def __init__(self, files: ModelFiles, threads: int = 0) -> None:
        if not files.encoder_only:
            raise EmbeddingError(
                f"{files.name} has layers after its pooling, which the ONNX runtime does not run.",
                "Use the other runtime: open_embedder(model, runtime='torch') or RAGKIT_EMBEDDING_RUNTIME=torch",
            )
        self.model_id = files.model_id()
        self.runtime = "onnx" if files.graph is not None and "int8" not in files.graph.name else "onnx-int8"
        self.location = files.location
        self.dimension = files.dimension
        self.window = files.window
        self.tokenizer = FastTokenizer(files.folder / "tokenizer.json")
        self._files = files
        self._threads = threads or cores()
        self._last: tuple[str, Vectors] | None = None
        """Last input: its vector is often requested first, and then the vectors of its tokens."""
        self._graph = _opened(files, self.model_id)
        session = self._graph.session
        inputs = {entry.name for entry in session.get_inputs()}
        if not inputs <= _INPUTS:
            raise EmbeddingError(
                f"The ONNX graph of {files.name} needs unknown inputs: {', '.join(sorted(inputs - _INPUTS))}.",
                "Use runtime='torch', or an export of the encoder alone.",
            )
        self._inputs = inputs
        tokens = [entry.name for entry in session.get_outputs() if len(entry.shape) == 3]
        if not tokens:
            raise EmbeddingError(
                f"The ONNX graph of {files.name} has no output with a vector for each token.",
                "Use runtime='torch', or an export of the encoder alone.",
            )
        self._output = tokens[0]

    def embed(self, texts: Sequence[str], kind: TextKind = "document") -> Vectors:
        """Return one unit vector per text: float32 ``[n, dimension]``.

        Raises:
            EmbeddingError: if a document is longer than the window.
        """
        pieces, owners = fit(texts, kind, self._files.prompts, self.tokenizer, self.window)
        if not pieces:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return gather(np.stack(self._each(self._pooled, pieces)), owners, len(texts))

    def embed_tokens(self, texts: Sequence[str], kind: TextKind = "document") -> list[Vectors]:
        """Return unit vectors of each text's tokens: float32 ``[tokens, dimension]``, specials left out."""
        pieces, owners = fit(texts, kind, self._files.prompts, self.tokenizer, self.window)
        parts: list[list[Vectors]] = [[] for _ in texts]
        for owner, vectors in zip(owners, self._each(self._token_vectors, pieces), strict=True):
            parts[owner].append(vectors)
        return [np.concatenate(vectors) for vectors in parts]

    def _each(self, function: Callable[[str], Vectors], pieces: Sequence[str]) -> list[Vectors]:
        if len(pieces) <= 1 or self._threads == 1:
            return [function(piece) for piece in pieces]
        # The longest first, so that no core is left with a long text at the end.
        order = sorted(range(len(pieces)), key=lambda number: -len(pieces[number]))
        with ThreadPoolExecutor(self._threads) as pool:
            done = list(pool.map(function, (pieces[number] for number in order)))
        results: list[Vectors] = [done[0]] * len(pieces)
        for number, vectors in zip(order, done, strict=True):
            results[number] = vectors
        return results

    def _hidden(self, text: str) -> Vectors:
        last = self._last
        if last is None or last[0] != text:
            ids = np.array([self.tokenizer.ids(text)], dtype=np.int64)
            given = {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "token_type_ids": np.zeros_like(ids),
                "position_ids": np.arange(ids.shape[1], dtype=np.int64)[None],
            }
            wanted = {name: values for name, values in given.items() if name in self._inputs}
            last = text, self._graph.session.run([self._output], wanted)[0][0]
            self._last = last
        return last[1]

    def _pooled(self, text: str) -> Vectors:
        hidden = self._hidden(text)
        pooling = self._files.pooling
        return unit(hidden.mean(axis=0) if pooling == "mean" else hidden[0 if pooling == "cls" else -1])

    def _token_vectors(self, text: str) -> Vectors:
        vectors = self._graph.recent.get(text)
        if vectors is None:
            vectors = unit(self._hidden(text)[self.tokenizer.inner])
            self._graph.recent.put(text, vectors)
        return vectors


class _Graph:
    """A graph in memory, with its last token vectors."""

    def __init__(self, session: InferenceSession) -> None:
        self.session = session
        self.recent = RecentVectors()


def _opened(files: ModelFiles, model_id: str) -> _Graph:
    """Return the bundled graph, a graph of one's own, or the cached export."""
    if files.graph is None:
        return _Graph(_session(files, exported(files, model_id)))
    if files.graph_sha256 is None:
        # A graph of the Hub may keep its weights in a file beside it, so it is opened by its path.
        return _Graph(_session(files, str(files.graph)))
    try:
        found = files.graph.stat()
    except OSError as error:
        raise _unreadable(files.graph, error) from error
    key = (files.graph, found.st_size, found.st_mtime_ns)
    with _LOADING:
        graph = _BUNDLED.get(key)
        if graph is None:
            graph = _Graph(_session(files, _bundled(files.graph, files.graph_sha256)))
            _BUNDLED[key] = graph
    return graph


def _session(files: ModelFiles, graph: bytes | str) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Without VNNI, the default int8 kernels add products in 16 bits and saturate: the vectors of one text then differ
    # between CPUs (cosine down to .985). The exact kernels are as fast as float32; with VNNI nothing changes.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise EmbeddingError(
            f"The ONNX graph of {files.name} can't be loaded: {' '.join(str(error).split())[:300]}.",
            "Get the model again, or use runtime='torch'.",
        ) from error


def exported(files: ModelFiles, model_id: str) -> bytes:
    """Return the int8 graph: the cached export, which is created if it is missing or damaged.

    Raises:
        EmbeddingError: if the export fails, or the cache folder is not writable.
    """
    folder = cache_folder() / "onnx" / model_id
    graph, manifest = folder / "int8.onnx", folder / "manifest.json"
    whole = _read_whole(graph, manifest)
    if whole is not None:
        return whole
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            whole = _read_whole(graph, manifest)
            if whole is not None:
                return whole
            files.weights_sha256()
            _export(files, graph)
            whole = graph.read_bytes()
            record = {"model_id": model_id, "sha256": hashlib.sha256(whole).hexdigest(), "bytes": len(whole)}
            scratch = manifest.with_suffix(".new")
            scratch.write_text(json.dumps(record))
            scratch.replace(manifest)
            return whole
    except OSError as error:
        raise EmbeddingError(
            f"The ONNX export of {model_id} can't be kept in {folder}: {error}.",
            "Name a folder that can be written: RAGKIT_CACHE=/path",
        ) from error


def _bundled(graph: Path, sha256: str) -> bytes:
    try:
        data = graph.read_bytes()
    except OSError as error:
        raise _unreadable(graph, error) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise EmbeddingError(
            f"{graph} has sha256 {found}, expected {sha256}: the file is damaged.",
            "Reinstall ragkit: pip install --force-reinstall --no-deps ragkit",
        )
    return data


def _unreadable(graph: Path, error: OSError) -> EmbeddingError:
    return EmbeddingError(f"{graph} can't be read: {error}.", "Reinstall ragkit.")


def _export(files: ModelFiles, target: Path) -> None:
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "torch", f"to export {files.name} to ONNX, once")
    folder = files.folder.absolute()
    done = run("ragkit.embedding.onnx_export", str(folder), str(target.absolute()), keep=_EXPORT_VARIABLES)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise EmbeddingError(
            f"{files.name} can't be exported to ONNX: {last[0]}",
            "Use the other runtime: open_embedder(model, runtime='torch') or RAGKIT_EMBEDDING_RUNTIME=torch",
        )


def _read_whole(graph: Path, manifest: Path) -> bytes | None:
    """Return the graph's bytes if they are what the manifest says; a damaged or cut export is as good as none."""
    try:
        record = json.loads(manifest.read_text())
        found = graph.read_bytes()
    except (OSError, ValueError):
        return None
    return found if hashlib.sha256(found).hexdigest() == record.get("sha256") else None
