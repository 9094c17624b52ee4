"""Chat models: local ones with llama.cpp, API endpoints, LangChain models, and fallback chains."""

from typing import TYPE_CHECKING

from ragkit._lazy import lazy_names
from ragkit.models.base import (
    ChatModel,
    Completion,
    ConstrainedModel,
    Delta,
    FunctionCall,
    FunctionCallingModel,
    FunctionSpec,
    GenerationOptions,
    ScoringModel,
    complete,
)
from ragkit.models.catalogue import catalogue, recommend
from ragkit.models.files import installed_models, known_models, pull
from ragkit.models.hub import PullPlan, plan_pull
from ragkit.models.opening import open_model

if TYPE_CHECKING:
    from ragkit.models.anthropic import AnthropicModel
    from ragkit.models.api import OpenAICompatibleModel
    from ragkit.models.chain.budget import Budget
    from ragkit.models.chain.fallback import FallbackModel
    from ragkit.models.chain.members import Member
    from ragkit.models.chain.policy import FallbackPolicy
    from ragkit.models.endpoint import ApiOptions
    from ragkit.models.langchain import LangChainModel
    from ragkit.models.llama_cpp import LlamaCppModel
    from ragkit.models.local_servers import LocalServer, find_servers
    from ragkit.models.scripted import ScriptedModel

_HOMES = {
    "AnthropicModel": "ragkit.models.anthropic",
    "ApiOptions": "ragkit.models.endpoint",
    "Budget": "ragkit.models.chain.budget",
    "FallbackModel": "ragkit.models.chain.fallback",
    "FallbackPolicy": "ragkit.models.chain.policy",
    "LangChainModel": "ragkit.models.langchain",
    "LlamaCppModel": "ragkit.models.llama_cpp",
    "LocalServer": "ragkit.models.local_servers",
    "Member": "ragkit.models.chain.members",
    "OpenAICompatibleModel": "ragkit.models.api",
    "ScriptedModel": "ragkit.models.scripted",
    "find_servers": "ragkit.models.local_servers",
}
"""Public names whose modules are loaded on first use."""

__all__ = [
    "AnthropicModel",
    "ApiOptions",
    "Budget",
    "ChatModel",
    "Completion",
    "ConstrainedModel",
    "Delta",
    "FallbackModel",
    "FallbackPolicy",
    "FunctionCall",
    "FunctionCallingModel",
    "FunctionSpec",
    "GenerationOptions",
    "LangChainModel",
    "LlamaCppModel",
    "LocalServer",
    "Member",
    "OpenAICompatibleModel",
    "PullPlan",
    "ScoringModel",
    "ScriptedModel",
    "catalogue",
    "complete",
    "find_servers",
    "installed_models",
    "known_models",
    "open_model",
    "plan_pull",
    "pull",
    "recommend",
]

__getattr__ = lazy_names("ragkit.models", _HOMES)
