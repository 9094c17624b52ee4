"""Opens models by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from ragkit._hub import PREFIX, is_hub_name
from ragkit._machine import memory
from ragkit._providers import PROVIDERS
from ragkit.errors import ModelAuthenticationError, SettingsError
from ragkit.models.base import ChatModel
from ragkit.models.files import installed_models, model_path

_TUNED = "tuned:"
_FAST_BYTES = 3_000_000_000
"""File size up to which a model answers at about reading speed on a CPU: some four billion parameters in 4 bits."""


def open_model(
    name: str = "default",
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    api_key_env: str | None = None,
    **options: Any,
) -> ChatModel:
    """Open a model by name. API models are not called yet.

    Args:
        name: ``default`` (SmolLM2-135M-Instruct), a name from ``installed_models()``, a path to a .gguf file,
            ``hf:OWNER/REPO`` for a model downloaded from the Hugging Face Hub with ``ragkit models pull``,
            ``openai:NAME`` for OpenAI's models and OpenAI-compatible endpoints, ``anthropic:NAME``, ``ollama:NAME``,
            ``lmstudio:NAME``, ``llamacpp:NAME`` and ``vllm:NAME`` for servers on this machine, ``PROVIDER:NAME`` for
            the other providers of LangChain's ``init_chat_model`` (such as ``google_genai:NAME``), ``tuned:NAME`` for
            a model with an adapter of the folder ``adapters``, or ``scripted``.
        base_url: address of the endpoint; by default that of the provider.
        api_key: API key; by default that of ``api_key_env``.
        api_key_env: environment variable, or name in the keyring, of the API key. By default that of the provider, such
            as ``OPENAI_API_KEY``. With ``base_url`` there is no default, so that a provider's key is not sent to
            another address.
        **options: for a local model those of ``LlamaCppModel``, for the providers of ``ragkit._providers`` those of
            ``ApiOptions``, for other providers ``window``, ``prices``, ``windows`` and what their LangChain class
            takes.

    Raises:
        ModelNotFoundError: if there is no such model.
        ModelFileError: if its file is damaged.
        MissingExtraError: if a required package is not installed.
        ModelAuthenticationError: if there is no key for OpenAI or Anthropic.
        SettingsError: if ``base_url`` is not a URL, or an option is unknown.
    """
    if name == "scripted":
        from ragkit.models.scripted import ScriptedModel

        _check_options(name, ScriptedModel, options)
        return ScriptedModel(**options)
    if is_remote(name):
        return _open_remote(name, base_url, api_key, api_key_env, options)
    if name.startswith(_TUNED):
        from ragkit.models.adapters import tuned_model

        return tuned_model(name.removeprefix(_TUNED), **options)
    from ragkit.models.llama_cpp import LlamaCppModel

    _check_options(name, LlamaCppModel, options)
    if name.lower().endswith(".gguf") and not is_hub_name(name):
        return LlamaCppModel(Path(name), **options)
    return LlamaCppModel(model_path(name), name="smollm2" if name == "default" else name, **options)


def is_remote(name: str) -> bool:
    """Return whether a name is a ``PROVIDER:NAME``, not a local model."""
    local = name.startswith((_TUNED, PREFIX)) or name.lower().endswith(".gguf")
    return ":" in name and not local


def _open_remote(
    name: str, base_url: str | None, api_key: str | None, api_key_env: str | None, options: dict[str, Any]
) -> ChatModel:
    from ragkit._keys import find_key, key_variable

    prefix, _, model = name.partition(":")
    provider = PROVIDERS.get(prefix)
    needs_key = base_url is None and provider is not None and not provider.local
    if api_key is None and (needs_key or api_key_env):
        variable = api_key_env or key_variable(prefix)
        found = find_key(variable)
        if needs_key and found is None:
            raise ModelAuthenticationError(
                f"There is no API key for {name}.",
                f"Set the environment variable {variable}, or run: ragkit models key set {prefix}",
            )
        api_key = found and found[0]
    if provider is None:
        from ragkit.models.langchain import open_langchain

        return open_langchain(prefix, model, base_url=base_url, api_key=api_key, **options)
    from ragkit.models.endpoint import ApiOptions

    _check_options(name, ApiOptions, options)
    limits = ApiOptions(**options)
    address = base_url or provider.base_url
    if provider.protocol == "anthropic":
        from ragkit.models.anthropic import AnthropicModel

        return AnthropicModel(model, address, api_key, limits)
    from ragkit.models.api import OpenAICompatibleModel

    return OpenAICompatibleModel(model, address, api_key, limits, provider.name if provider.local else "")


def parameters_of(name: str) -> int | None:
    """Return the number of parameters of a local model without loading it, or None if it is unknown.

    Args:
        name: see ``open_model``.

    Raises:
        ModelNotFoundError: if there is no such model.
        ModelFileError: if its file is damaged.
    """
    if name == "scripted" or name.startswith(_TUNED) or is_remote(name):
        return None
    from ragkit.models.gguf_header import parameter_count

    return parameter_count(Path(name).expanduser() if name.lower().endswith(".gguf") else model_path(name))


def best_installed() -> str | None:
    """Return the name of the model that ``auto`` selects, or None if none is installed.

    It is the largest chat model that fits this machine's memory and answers at about reading speed on a CPU. A larger
    one is used only if it is named.
    """
    if find_spec("llama_cpp") is None:
        return None
    models = sorted((model for model in installed_models() if model.chat), key=lambda model: model.bytes)
    limit = memory() or 0
    suitable = [model for model in models if model.bytes <= _FAST_BYTES and model.memory_bytes <= limit]
    return suitable[-1].name if suitable else models[0].name if models else None


def _check_options(name: str, made: Callable[..., Any], options: Mapping[str, object]) -> None:
    legal = [key for key in signature(made).parameters if key not in ("path", "name")]
    wrong = [key for key in options if key not in legal]
    if wrong:
        raise SettingsError(
            f"Unknown option for the model {name}: {', '.join(map(repr, wrong))}.", f"Options: {', '.join(legal)}."
        )
