"""Chat models: local ones with llama.cpp, API endpoints, LangChain models, and fallback chains."""

from ragkit.models.base import ChatModel, Completion, Delta, GenerationOptions, ScoringModel, complete
from ragkit.models.files import installed_models, known_models, pull
from ragkit.models.opening import open_model

__all__ = [
    "ChatModel",
    "Completion",
    "Delta",
    "GenerationOptions",
    "ScoringModel",
    "complete",
    "installed_models",
    "known_models",
    "open_model",
    "pull",
]
