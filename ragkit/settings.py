"""User settings from ``ragkit.toml`` and the environment, validated and passed on as arguments.

The nearest ``ragkit.toml`` from the working folder upwards is read; environment variables named
``RAGKIT_<SETTING>`` (such as ``RAGKIT_MODEL=qwen3-4b``) win over it, and command-line options win
over both. Only the command line and the server read settings; the Python packages take plain arguments.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ragkit.errors import SettingsError

FILE_NAME = "ragkit.toml"


class Settings(BaseSettings):
    """All settings with their defaults."""

    model_config = SettingsConfigDict(env_prefix="RAGKIT_", extra="forbid", frozen=True)

    indexes: Path = Path("indexes")
    """Folder in which built indexes live."""
    embedding_model: str = "default"
    """The embedding model of new indexes: ``default``, ``hf:OWNER/REPO`` (after `ragkit models pull`), a
    sentence-transformers folder, or ``PROVIDER:NAME`` such as ``openai:text-embedding-3-small``."""
    embedding_runtime: Literal["auto", "onnx", "torch"] = "auto"
    """Runtime of embedding models; ``auto`` is torch with a GPU and ONNX without."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device for embedding, training and vector search; ``auto`` is the GPU if torch can use one."""
    model: str = "auto"
    """The language model: ``auto`` (the best installed), ``none``, a name from `ragkit models list`, a .gguf
    file, ``hf:OWNER/REPO``, ``openai:NAME``, ``anthropic:NAME``, ``ollama:NAME``, ``lmstudio:NAME``,
    ``llamacpp:NAME``, ``vllm:NAME``, or ``PROVIDER:NAME`` for another provider of LangChain's."""
    mode: Literal["auto", "chat", "extract", "quotes"] = "auto"
    """Answer mode; ``auto`` chooses by the model and the kind of question."""
    k: int = Field(default=8, ge=1, le=1000)
    """Passages to retrieve for an answer."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Relevance below which a question is refused; None for ragkit's own. ``ragkit calibrate`` fits it."""
    unsure_below: float | None = Field(default=None, ge=0, le=1)
    """Evidence below which an answer is marked as unsure; None for ragkit's own. ``ragkit calibrate`` fits it."""
    base_url: str | None = None
    """Address of an OpenAI-compatible endpoint for ``openai:NAME``, such as ``http://localhost:8080/v1``."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable, or the name in the keyring, that contains the key of ``openai:NAME``; the key itself is
    never a setting."""
    prices: Path | None = None
    """A TOML file with prices of models, which takes precedence over ragkit's own; it has the form of
    ``ragkit/models/prices.toml``."""
    windows: Path | None = None
    """A TOML file with windows of models, which takes precedence over ragkit's own; it has the form of
    ``ragkit/models/windows.toml``."""
    templates: Path | None = None
    """A folder of prompt templates that replace the ones ragkit ships."""
    passwords: tuple[str, ...] = ()
    """Tried in turn on encrypted files."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before what the file gave."""
        return env_settings, init_settings


def find_file(folder: Path) -> Path | None:
    """Return the nearest ``ragkit.toml`` from ``folder`` upwards."""
    for parent in (folder, *folder.parents):
        if (parent / FILE_NAME).is_file():
            return parent / FILE_NAME
    return None


def load_settings(folder: Path | None = None) -> Settings:
    """Read the settings that hold in ``folder`` (the working folder by default).

    Relative paths in the file are taken from the file's own folder.

    Raises:
        SettingsError: if the file is not valid TOML, or a value is unknown or out of range.
    """
    file = find_file((folder or Path.cwd()).resolve())
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file} is not valid TOML: {error}.", "Correct the line named above.") from error
        for name in ("indexes", "templates", "prices", "windows"):
            if isinstance(values.get(name), str):
                values[name] = file.parent / values[name]
    try:
        return Settings(**values)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']} (got {item['input']!r})"
            for item in error.errors()
        )
        known = ", ".join(Settings.model_fields)
        raise SettingsError(
            f"Wrong settings in {file or 'the environment'}: {wrong}.", f"Settings are: {known}."
        ) from error
