"""`ragkit models` and what `ragkit doctor` says about models."""

import json

import pytest

from tests.models.small_gguf import write_model


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("gguf") / "small.gguf").read_bytes()


def test_pull_tells_size_license_and_memory_and_the_model_is_listed(hub, gguf, here, tmp_path):
    hub.add("Acme/Tiny-GGUF", {"tiny-Q4_K_M.gguf": gguf, "tiny-Q8_0.gguf": gguf + bytes(9)}, license_id="mit")
    pulled = here("models", "pull", "hf:Acme/Tiny-GGUF", cwd=tmp_path)
    assert pulled.stdout.strip().endswith("cache/hub/Acme/Tiny-GGUF/tiny-Q4_K_M.gguf")
    assert "license: mit" in pulled.stderr
    assert "Q4_K_M is the usual choice of 2 quantisations" in pulled.stderr
    assert "Memory when it runs: about 4" in pulled.stderr
    assert "Use it: --model hf:Acme/Tiny-GGUF" in pulled.stderr
    assert "hf:Acme/Tiny-GGUF" in here("models", "list", cwd=tmp_path).stdout
    listed = json.loads(here("models", "list", "--json", cwd=tmp_path).stdout)
    assert "hf:Acme/Tiny-GGUF" in [model["name"] for model in listed["installed"]]
    assert here("models", "path", "hf:Acme/Tiny-GGUF", cwd=tmp_path).stdout == pulled.stdout


def test_pull_as_json_is_one_object(hub, gguf, here, tmp_path):
    hub.add("Acme/Tiny-GGUF", {"tiny-Q8_0.gguf": gguf}, license_id="mit")
    report = json.loads(here("models", "pull", "hf:Acme/Tiny-GGUF:q8_0", "--json", cwd=tmp_path).stdout)
    assert report["name"] == "hf:Acme/Tiny-GGUF:q8_0"
    assert (report["license"], report["bytes"], report["fits"]) == ("mit", len(gguf), True)
    assert report["path"].endswith("tiny-Q8_0.gguf")
    failed = json.loads(here("models", "pull", "hf:Acme/None", "--json", cwd=tmp_path, check=1).stdout)
    assert failed["error"]["type"] == "ModelNotFoundError"


def test_model_that_does_not_fit_is_warned_about_before_the_download(hub, gguf, here, tmp_path):
    hub.add("Acme/Huge-GGUF", {"huge.gguf": gguf}, gated="auto", sizes={"huge.gguf": 10**15})
    failed = here("models", "pull", "hf:Acme/Huge-GGUF", cwd=tmp_path, check=1).stderr
    assert "does not fit this machine's memory" in failed
    assert "is gated" in failed
    assert "disk space" in failed


def test_catalogue_is_listed_with_license_and_memory(hub, here, tmp_path):
    listed = json.loads(here("models", "list", "--json", cwd=tmp_path).stdout)
    offered = {model["name"]: model for model in listed["can_be_pulled"]}
    assert len(offered) >= 12
    assert offered["qwen3-4b"]["license"] == "Apache-2.0"
    assert offered["qwen3-4b"]["memory_bytes"] > offered["qwen3-4b"]["bytes"]
    assert "Apache-2.0" in here("models", "list", cwd=tmp_path).stdout
    assert hub.requests == []


def test_doctor_recommends_a_model_and_tells_of_local_servers(hub, here, tmp_path):
    report = json.loads(here("doctor", "--json", cwd=tmp_path).stdout)
    assert report["recommended"]["hf"].startswith("hf:")
    assert isinstance(report["servers"], list)
    printed = here("doctor", cwd=tmp_path).stdout
    assert f"ragkit models pull {report['recommended']['name']}" in printed
    assert "Local servers" in printed
