"""The base model of a fine-tuning run: its file or folder, its weights in torch, and its tokenizer."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit._hub import is_hub_name
from ragkit.errors import MissingExtraError, ModelFileError, ModelNotFoundError, SettingsError
from ragkit.models.files import known_models, model_path
from ragkit.models.gguf_header import check_gguf
from ragkit.tuning.lora.gguf_reading import fast_gguf
from ragkit.tuning.lora.tokens import ModelTokens, folder_tokens, gguf_tokens


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model to fine-tune, not yet loaded."""

    name: str
    """Name of the model: from ``ragkit models list``, a .gguf file, or a folder."""
    path: Path
    sha256: str
    """sha256 of the file; for a folder, of the names and contents of its weights."""
    is_gguf: bool

    def tokens(self) -> ModelTokens:
        """Return its tokenizer and chat template.

        Raises:
            ModelFileError: if it has no readable tokenizer.
        """
        return gguf_tokens(self.path) if self.is_gguf else folder_tokens(self.path)

    def load(self, device: str) -> Any:
        """Return its weights as a ``transformers`` causal language model, in bfloat16 if that is fast.

        Args:
            device: ``cpu`` or ``cuda``.

        Raises:
            MissingExtraError: if transformers is not installed.
            ModelFileError: if the weights can't be read.
        """
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingExtraError("transformers", "tune", "to tune a model") from error
        given: dict[str, Any] = {"dtype": torch.float32}
        folder = self.path
        if self.is_gguf:
            folder, given["gguf_file"] = self.path.parent, self.path.name
            # Quantised weights are slower to train with, and not supported in bfloat16.
            if hasattr(transformers, "GgufConfig"):
                given["quantization_config"] = transformers.GgufConfig(dequantize=True)
        try:
            # Its progress bars are always printed to stderr.
            with quiet(), redirect_stderr(io.StringIO()), fast_gguf() if self.is_gguf else nullcontext():
                model = transformers.AutoModelForCausalLM.from_pretrained(
                    str(folder), local_files_only=True, attn_implementation="sdpa", **given
                )
        except ImportError as error:
            raise MissingExtraError("gguf", "tune", "to read a GGUF model for tuning") from error
        except (OSError, ValueError, KeyError, IndexError, RuntimeError, struct.error) as error:
            raise ModelFileError(
                f"{self.path} can't be loaded for tuning: {str(error)[:300]}",
                "Specify a GGUF file that transformers supports, or a Hugging Face folder.",
            ) from error
        return model.to(device=device, dtype=torch.bfloat16 if _fast_in_bfloat16(device) else torch.float32)


def base_model(name: str | Path = "default") -> BaseModel:
    """Find a base model by name.

    Args:
        name: ``default`` (SmolLM2-135M-Instruct), a name from ``installed_models()``, a .gguf file, or a Hugging Face
            folder.

    Raises:
        ModelNotFoundError: if there is no such model.
        ModelFileError: if it is damaged.
        SettingsError: if a folder has no .safetensors weights.
    """
    text = str(name)
    place = Path(text).expanduser()
    if place.is_dir():
        weights = sorted(place.glob("*.safetensors"))
        if not weights:
            raise SettingsError(
                f"{place} contains no .safetensors file.", "Specify a folder with config.json and weights."
            )
        return BaseModel(str(place.resolve()), place.resolve(), _digest([place / "config.json", *weights]), False)
    if place.suffix.lower() == ".gguf" and not is_hub_name(text):
        check_gguf(place)
        return BaseModel(str(place.resolve()), place.resolve(), sha256_of(place), True)
    try:
        path = model_path(text)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            error.message, "Specify one of these, a .gguf file, or a Hugging Face folder."
        ) from error
    name = "smollm2" if text == "default" else text if is_hub_name(text) else text.lower()
    known = next((info.sha256 for info in known_models() if info.name == name), None)
    return BaseModel(name, path, known or sha256_of(path), True)


def best_device() -> str:
    """Return ``cuda`` if there is a working GPU, else ``cpu``."""
    from ragkit.embedding.opening import cuda_works

    return "cuda" if cuda_works() else "cpu"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(files: list[Path]) -> str:
    lines = [f"{file.name} {sha256_of(file)}" for file in files if file.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _fast_in_bfloat16(device: str) -> bool:
    """Return whether the CPU supports bfloat16 in hardware; otherwise it is many times slower."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress irrelevant warnings of transformers; errors are still raised."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
