"""From a name to a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError
from ragkit.models.base import ChatModel
from ragkit.models.files import installed_models, model_path


def open_model(
    name: str = "default", *, base_url: str | None = None, api_key: str | None = None, **options: Any
) -> ChatModel:
    """Open a model by name.

    Args:
        name: ``default`` (SmolLM2-135M-Instruct), a name from ``installed_models()``, a path to a .gguf file,
            ``openai:NAME`` for an endpoint, or ``scripted``.
        base_url: of the endpoint.
        api_key: for the endpoint.
        **options: for a local model those of ``LlamaCppModel``, for an endpoint those of ``ApiOptions``.

    Raises:
        ModelNotFoundError: if there is no such model.
        ModelFileError: if its file is damaged.
        MissingExtraError: if what runs it is not installed.
        SettingsError: if an endpoint's address is missing, or the model takes no such option.
    """
    if name == "scripted":
        from ragkit.models.scripted import ScriptedModel

        _check_options(name, ScriptedModel, options)
        return ScriptedModel(**options)
    if name.startswith("openai:"):
        if not base_url:
            raise SettingsError(
                f"{name} needs an endpoint's address.", "Give base_url=..., or RAGKIT_BASE_URL on the command line."
            )
        from ragkit.models.api import ApiOptions, OpenAICompatibleModel

        _check_options(name, ApiOptions, options)
        return OpenAICompatibleModel(name.removeprefix("openai:"), base_url, api_key, ApiOptions(**options))
    from ragkit.models.llama_cpp import LlamaCppModel

    _check_options(name, LlamaCppModel, options)
    if name.lower().endswith(".gguf"):
        return LlamaCppModel(Path(name), **options)
    return LlamaCppModel(model_path(name), name="smollm2" if name == "default" else name, **options)


def best_installed() -> str | None:
    """Return the name of the model to use where none is named: the first that is installed and can run, or None."""
    if find_spec("llama_cpp") is None:
        return None
    models = [model for model in installed_models() if model.chat]
    return models[0].name if models else None


def _check_options(name: str, made: Callable[..., Any], options: Mapping[str, object]) -> None:
    legal = [key for key in signature(made).parameters if key not in ("path", "name")]
    wrong = [key for key in options if key not in legal]
    if wrong:
        raise SettingsError(
            f"The model {name} takes no option {', '.join(map(repr, wrong))}.", f"It takes: {', '.join(legal)}."
        )
