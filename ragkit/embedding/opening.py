"""Chooses the embedding runtime for this machine, and explains the choice."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ragkit._machine import cpu_flags
from ragkit.embedding.api import ApiEmbedder, is_endpoint_name
from ragkit.embedding.base import Embedder
from ragkit.embedding.model_files import DEFAULT_NAME, locate
from ragkit.errors import SettingsError

Runtime = Literal["auto", "onnx", "torch"]
Device = Literal["auto", "cpu", "cuda"]
DEFAULTS = ("default", DEFAULT_NAME)
"""Names of the bundled model, whose weights come with the extra ``torch``."""


@dataclass(slots=True)
class _Auto:
    """Runtime that ``auto`` selects in this process."""

    runtime: Runtime = "auto"
    device: Device = "auto"


_AUTO = _Auto()


@dataclass(frozen=True, slots=True)
class RuntimeReport:
    """Embedding section of the ``doctor`` report."""

    runtime: str
    """``onnx`` or ``torch``."""
    device: str
    reason: str


def set_default_runtime(runtime: Runtime = "auto", device: Device = "auto") -> None:
    """Set the meaning of ``auto`` in this process, for embedding, search and training.

    The runtime is a property of the machine, not of an index, a pool or a task. Therefore it is set once per process,
    as with ``torch.set_default_device``, and not passed to everything that opens one of these. The command line calls
    this with its settings. A runtime or device argument of a call takes precedence.

    Args:
        runtime: ``onnx``, ``torch``, or ``auto``: torch with a GPU, ONNX without.
        device: ``cpu``, ``cuda``, or ``auto``: the GPU if there is one that torch can use.

    Raises:
        SettingsError: if one is not a legal value, or the two exclude each other.
    """
    _check(runtime, device)
    _AUTO.runtime, _AUTO.device = runtime, device


def open_embedder(model: str | Path = "default", runtime: Runtime = "auto", device: Device = "auto") -> Embedder:
    """Open an embedding model; nothing is downloaded.

    Args:
        model: ``default`` (all-MiniLM-L6-v2, which is bundled), ``hf:OWNER/REPO`` for a model that
            ``ragkit models pull`` downloaded, a local sentence-transformers folder, or ``PROVIDER:MODEL`` for an
            endpoint, such as ``openai:text-embedding-3-small`` (see ``ApiEmbedder``).
        runtime: ``onnx``, ``torch``, or ``auto``: what ``set_default_runtime`` set; else torch with a GPU and ONNX
            without.
        device: ``cpu``, ``cuda``, or ``auto``: what ``set_default_runtime`` set; else the GPU if there is one that
            torch can use.

    Raises:
        EmbeddingError: if the model is missing, damaged, or can't be run with these options.
        SettingsError: if runtime or device is not a legal value, or the two exclude each other.
    """
    name = str(model)
    if is_endpoint_name(name) and not Path(name).exists():
        return ApiEmbedder(name)
    report = runtime_report(runtime, device)
    if report.runtime == "torch" and runtime == "auto" and locate(model).weights is None and name not in DEFAULTS:
        report = RuntimeReport("onnx", "cpu", "the model has an ONNX graph and no weights here")
    if report.runtime == "onnx":
        from ragkit.embedding.onnx import OnnxEmbedder

        return OnnxEmbedder(locate(model))
    from ragkit.embedding.sentence_transformer import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(locate(model, weights=True), device=report.device)


def runtime_report(runtime: Runtime = "auto", device: Device = "auto") -> RuntimeReport:
    """Return the runtime and device that would embed here, and why; torch is loaded only if a GPU is present."""
    _check(runtime, device)
    if runtime == "auto" and not (device == "cuda" and _AUTO.runtime == "onnx"):
        runtime = _AUTO.runtime
    if device == "auto" and not (runtime == "onnx" and _AUTO.device == "cuda"):
        device = _AUTO.device
    if runtime == "onnx":
        return RuntimeReport("onnx", "cpu", "asked for")
    cuda = device == "cuda" or (device == "auto" and cuda_works())
    if runtime == "torch":
        return RuntimeReport("torch", "cuda" if cuda else "cpu", "asked for")
    if cuda:
        return RuntimeReport("torch", "cuda", "a GPU that torch can use is here, so sentence-transformers runs on it")
    if find_spec("onnxruntime") is None:
        return RuntimeReport("torch", "cpu", "onnxruntime is not installed; pip install onnxruntime is faster here")
    return RuntimeReport("onnx", "cpu", f"no GPU that torch can use; {_int8_kernels()}")


def _int8_kernels() -> str:
    """Say which int8 kernels onnxruntime uses on this CPU."""
    if not cpu_flags() or "avx2" not in cpu_flags():
        return "int8 with onnxruntime is the fastest that was measured on a CPU"
    if cpu_flags() & {"avx512_vnni", "avx_vnni"}:
        return "int8 with onnxruntime, and this CPU has int8 instructions (VNNI)"
    return (
        "int8 with onnxruntime, exact kernels: this CPU has no int8 instructions (VNNI), so int8 is about as fast as "
        "float32 and takes a quarter of the memory"
    )


def cuda_works() -> bool:
    """Return whether ``auto`` takes the GPU: torch can use one, and the process is not set to use the CPU.

    torch, which loads slowly, is imported only if the NVIDIA driver is loaded.
    """
    if _AUTO.device == "cpu" or not Path("/proc/driver/nvidia/version").exists() or find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def _check(runtime: str, device: str) -> None:
    if runtime not in ("auto", "onnx", "torch"):
        raise SettingsError(f"Unknown runtime {runtime!r}.", "Legal values: auto, onnx, torch.")
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"Unknown device {device!r}.", "Legal values: auto, cpu, cuda.")
    if (runtime, device) == ("onnx", "cuda"):
        raise SettingsError("The ONNX runtime embeds on the CPU only.", "Use runtime='torch' for the GPU.")
