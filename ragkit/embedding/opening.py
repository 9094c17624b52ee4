"""Which runtime embeds on this machine, and why."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ragkit.embedding.base import Embedder
from ragkit.embedding.model_files import locate
from ragkit.errors import SettingsError

Runtime = Literal["auto", "onnx", "torch"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class RuntimeReport:
    """What ``doctor`` tells of embedding."""

    runtime: str
    """``onnx`` or ``torch``."""
    device: str
    reason: str


def open_embedder(model: str | Path = "default", runtime: Runtime = "auto", device: Device = "auto") -> Embedder:
    """Open an embedding model on this machine; nothing is downloaded.

    Args:
        model: ``default`` (all-MiniLM-L6-v2, from its package), or a local sentence-transformers folder.
        runtime: ``onnx``, ``torch``, or ``auto``: torch with a GPU, ONNX without.
        device: ``cpu``, ``cuda``, or ``auto``: the GPU where there is one that torch can use.

    Raises:
        EmbeddingError: if the model is missing, damaged, or can't be run so.
        SettingsError: if runtime or device is no legal value, or the two exclude each other.
    """
    report = runtime_report(runtime, device)
    files = locate(model)
    if report.runtime == "onnx":
        from ragkit.embedding.onnx import OnnxEmbedder

        return OnnxEmbedder(files)
    from ragkit.embedding.sentence_transformer import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(files, device=report.device)


def runtime_report(runtime: Runtime = "auto", device: Device = "auto") -> RuntimeReport:
    """Say which runtime and device would embed here, and why; torch is loaded only where a GPU is present."""
    if runtime not in ("auto", "onnx", "torch"):
        raise SettingsError(f"Unknown runtime {runtime!r}.", "Legal values: auto, onnx, torch.")
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"Unknown device {device!r}.", "Legal values: auto, cpu, cuda.")
    if runtime == "onnx":
        if device == "cuda":
            raise SettingsError("The ONNX runtime embeds on the CPU only.", "Use runtime='torch' for the GPU.")
        return RuntimeReport("onnx", "cpu", "asked for")
    cuda = device == "cuda" or (device == "auto" and cuda_works())
    if runtime == "torch":
        return RuntimeReport("torch", "cuda" if cuda else "cpu", "asked for")
    if cuda:
        return RuntimeReport("torch", "cuda", "a GPU that torch can use is here, so sentence-transformers runs on it")
    if find_spec("onnxruntime") is None:
        return RuntimeReport("torch", "cpu", "onnxruntime is not installed; pip install onnxruntime is faster here")
    return RuntimeReport("onnx", "cpu", "no GPU that torch can use; int8 with onnxruntime is the fastest on a CPU")


def cuda_works() -> bool:
    """Tell whether torch can use a GPU; it is asked only where the NVIDIA driver is loaded, since it loads slowly."""
    if not Path("/proc/driver/nvidia/version").exists() or find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())
