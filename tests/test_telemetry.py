"""No usage data leaves the machine."""

import subprocess
import sys

import pytest

CHECK = """
import threading
from huggingface_hub.utils import send_telemetry
send_telemetry("ragkit-test")
print([thread.name for thread in threading.enumerate()])
"""
RAGKIT = "import ragkit.tuning\n"
HUB = "import huggingface_hub.constants\n"


@pytest.mark.parametrize(("code", "silent"), [(RAGKIT, True), (HUB + RAGKIT, True), (HUB, False)])
def test_tuning_switches_off_the_usage_data_of_other_libraries(monkeypatch, code, silent):
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    # Nothing listens there.
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = subprocess.run([sys.executable, "-c", code + CHECK], capture_output=True, text=True, check=True)
    assert (done.stdout.strip() == "['MainThread']") == silent, done.stdout
