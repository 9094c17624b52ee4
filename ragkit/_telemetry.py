"""Keeps libraries that ragkit uses from sending usage data."""

from __future__ import annotations

import os
import sys


def disable_telemetry() -> None:
    """Switch off the usage data that huggingface_hub sends, for itself and for trl.

    Call it before such a library is used; it takes effect also if huggingface_hub is imported already.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        constants.HF_HUB_DISABLE_TELEMETRY = True  # type: ignore[attr-defined]
