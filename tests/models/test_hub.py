"""Models pulled from the Hugging Face Hub, asked through a local stand-in that speaks its protocol."""

import hashlib
import resource

import pytest

from ragkit import _hub_client
from ragkit.errors import (
    ModelAuthenticationError,
    ModelFileError,
    ModelNotFoundError,
    ModelUnavailableError,
    SettingsError,
)
from ragkit.models import GenerationOptions, complete, installed_models, open_model, opening, pull
from ragkit.models.files import model_path, plan
from ragkit.models.hub import quantisation
from ragkit.models.opening import is_remote
from ragkit.models.packaged import ModelInfo
from ragkit.records import Message
from tests.models.small_gguf import write_model


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    """A real model as one file, and as three parts by name."""
    folder = tmp_path_factory.mktemp("gguf")
    whole = write_model(folder / "small.gguf").read_bytes()
    write_model(folder / "tiny-q4_k_m.gguf", parts=3)
    parts = {path.name: path.read_bytes() for path in sorted(folder.glob("tiny-q4_k_m-*"))}
    assert len(parts) == 3
    return whole, parts


def reply(name):
    model = open_model(name, threads=1)
    try:
        return complete(model, [Message("user", "hello")], GenerationOptions(max_tokens=4)).usage.completion_tokens
    finally:
        model.close()


def test_pulled_model_opens_by_its_name(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"README.md": b"#", "tiny-Q4_K_M.gguf": gguf[0], "tiny-Q8_0.gguf": gguf[0] + b"\0"})
    planned = plan("hf:Acme/Tiny-GGUF").plan
    assert (planned.files, planned.bytes, planned.license) == (("tiny-Q4_K_M.gguf",), len(gguf[0]), "apache-2.0")
    assert "Q4_K_M" in planned.note
    assert planned.fits
    assert planned.memory_bytes > planned.bytes
    told = []
    path = pull("hf:Acme/Tiny-GGUF", progress=lambda done, total: told.append((done, total)))
    assert path.read_bytes() == gguf[0]
    assert told[-1] == (len(gguf[0]), len(gguf[0]))
    assert not is_remote("hf:Acme/Tiny-GGUF")
    assert reply("hf:Acme/Tiny-GGUF") > 0
    assert reply("hf:Acme/Tiny-GGUF:Q4_K_M") > 0
    assert reply("hf:Acme/Tiny-GGUF:tiny-Q4_K_M.gguf") > 0
    assert "hf:Acme/Tiny-GGUF" in [info.name for info in installed_models()]
    with pytest.raises(ModelNotFoundError, match=r"no downloaded file.*Q8_0") as caught:
        open_model("hf:Acme/Tiny-GGUF:Q8_0")
    assert "ragkit models pull hf:Acme/Tiny-GGUF:Q8_0" in caught.value.hint


def test_installed_model_needs_no_hub(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    pull("hf:Acme/Tiny-GGUF")
    hub.close()
    assert model_path("hf:Acme/Tiny-GGUF").is_file()
    with pytest.raises(ModelNotFoundError, match="not installed"):
        open_model("hf:Acme/Other-GGUF")


def test_parts_of_a_split_model_are_pulled_together(hub, gguf):
    hub.add("Acme/Split-GGUF", {f"q4/{name}": data for name, data in gguf[1].items()})
    assert pull("hf:Acme/Split-GGUF").name == "tiny-q4_k_m-00001-of-00003.gguf"
    assert reply("hf:Acme/Split-GGUF") > 0
    (info,) = [info for info in installed_models() if info.name == "hf:Acme/Split-GGUF"]
    assert info.bytes == sum(map(len, gguf[1].values()))
    model_path("hf:Acme/Split-GGUF").with_name("tiny-q4_k_m-00002-of-00003.gguf").unlink()
    with pytest.raises(ModelFileError, match=r"00002-of-00003\.gguf is missing"):
        open_model("hf:Acme/Split-GGUF")
    pull("hf:Acme/Split-GGUF")
    assert reply("hf:Acme/Split-GGUF") > 0
    last = model_path("hf:Acme/Split-GGUF").with_name("tiny-q4_k_m-00003-of-00003.gguf")
    last.write_bytes(last.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ModelFileError, match="sha256"):
        open_model("hf:Acme/Split-GGUF")


def test_interrupted_pull_continues_where_it_stopped(hub, gguf):
    data = gguf[0] + bytes(3 * 2**20)
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": data})

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("hf:Acme/Tiny-GGUF", progress=stop)
    begun = len(data) - plan("hf:Acme/Tiny-GGUF").plan.download_bytes
    assert 0 < begun < len(data)
    assert pull("hf:Acme/Tiny-GGUF").read_bytes() == data
    assert hub.fetched("tiny.gguf") == ["bytes=0-", f"bytes={begun}-"]
    pull("hf:Acme/Tiny-GGUF")
    assert len(hub.fetched("tiny.gguf")) == 2
    assert plan("hf:Acme/Tiny-GGUF").plan.download_bytes == 0


def test_broken_connection_is_taken_up_again(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    hub.break_after = [1000, 2000]
    assert pull("hf:Acme/Tiny-GGUF").read_bytes() == gguf[0]
    assert hub.fetched("tiny.gguf") == ["bytes=0-", "bytes=1000-", "bytes=3000-"]


def test_silent_connection_is_given_up_and_taken_up_again(hub, gguf, monkeypatch):
    monkeypatch.setattr(_hub_client, "_PATIENCE", 0.3)
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    hub.stalls, hub.break_after = True, [2000]
    assert pull("hf:Acme/Tiny-GGUF").read_bytes() == gguf[0]
    assert hub.fetched("tiny.gguf") == ["bytes=0-", "bytes=2000-"]


def test_server_without_ranges_sends_the_file_again(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    hub.ranges, hub.break_after = False, [5000]
    assert pull("hf:Acme/Tiny-GGUF").read_bytes() == gguf[0]
    assert hub.fetched("tiny.gguf") == ["bytes=0-", "bytes=5000-"]


def test_connection_that_gives_nothing_ends_with_an_error_and_keeps_the_beginning(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    hub.break_after = [1000] + [0] * 20
    with pytest.raises(ModelUnavailableError, match=r"1,000 of|can't be reached"):
        pull("hf:Acme/Tiny-GGUF")
    hub.break_after = []
    assert pull("hf:Acme/Tiny-GGUF").read_bytes() == gguf[0]
    assert hub.fetched("tiny.gguf")[-1] == "bytes=1000-"


def test_altered_download_is_refused_and_deleted(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    planned = plan("hf:Acme/Tiny-GGUF")
    hub.repos["Acme/Tiny-GGUF"]["files"]["tiny.gguf"] = gguf[0][:-1] + b"\xff"
    with pytest.raises(ModelFileError, match="wrong checksum"):
        planned.run()
    with pytest.raises(ModelNotFoundError, match="not installed"):
        open_model("hf:Acme/Tiny-GGUF")
    hub.repos["Acme/Tiny-GGUF"]["files"]["tiny.gguf"] = gguf[0]
    assert pull("hf:Acme/Tiny-GGUF").read_bytes() == gguf[0]


def test_damaged_installed_file_is_refused(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    path = pull("hf:Acme/Tiny-GGUF")
    path.write_bytes(gguf[0][:-1] + b"\xff")
    with pytest.raises(ModelFileError, match="sha256"):
        open_model("hf:Acme/Tiny-GGUF")


def test_newer_version_replaces_the_old_one_on_the_next_pull(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    pull("hf:Acme/Tiny-GGUF")
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0] + bytes(32)})
    assert len(model_path("hf:Acme/Tiny-GGUF").read_bytes()) == len(gguf[0])
    pull("hf:Acme/Tiny-GGUF")
    assert len(model_path("hf:Acme/Tiny-GGUF").read_bytes()) == len(gguf[0]) + 32


def test_gated_repository_says_where_to_accept_and_takes_a_token(hub, gguf, monkeypatch):
    hub.add("Acme/Gated-GGUF", {"tiny.gguf": gguf[0]}, gated="manual", token="hf_secret")
    monkeypatch.setenv("HF_TOKEN", "")
    assert plan("hf:Acme/Gated-GGUF").plan.gated
    with pytest.raises(ModelAuthenticationError, match="gated") as caught:
        pull("hf:Acme/Gated-GGUF")
    assert f"{hub.url}/Acme/Gated-GGUF" in caught.value.hint
    assert "HF_TOKEN" in caught.value.hint
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull("hf:Acme/Gated-GGUF")
    # The token is for the Hub alone, and not for the host that it redirects to.
    assert all("authorization" not in map(str.lower, headers) for _, _, headers in hub.requests)


def test_absent_repository_file_and_revision_are_named(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny-Q8_0.gguf": gguf[0], "tiny-Q2_K.gguf": gguf[0]})
    with pytest.raises(ModelNotFoundError, match="no repository 'Acme/None'"):
        pull("hf:Acme/None")
    with pytest.raises(ModelNotFoundError, match="no file or quantisation 'Q4_K_M'") as caught:
        pull("hf:Acme/Tiny-GGUF:Q4_K_M")
    assert "Q2_K, Q8_0" in caught.value.hint
    with pytest.raises(ModelNotFoundError, match="no revision 'old'"):
        pull("hf:Acme/Tiny-GGUF@old")
    hub.add("Acme/Data", {"data.csv": b"a,b"})
    with pytest.raises(ModelNotFoundError, match="contains no model"):
        pull("hf:Acme/Data")


@pytest.mark.parametrize("name", ["hf:tiny", "hf:", "hf:../../etc", "hf:a/b/c", "hf:a/..:x.gguf"])
def test_name_of_another_form_is_refused(name):
    with pytest.raises(SettingsError, match="does not name a model"):
        plan(name)
    with pytest.raises(SettingsError, match="does not name a model"):
        open_model(name)


def test_file_outside_of_the_folder_is_never_written(hub, gguf, tmp_path):
    hub.add("Acme/Evil-GGUF", {"../../evil.gguf": gguf[0], "/tmp/evil.gguf": gguf[0]})
    with pytest.raises(ModelNotFoundError, match="contains no model"):
        pull("hf:Acme/Evil-GGUF")
    assert not list(tmp_path.rglob("evil.gguf"))


def test_full_disk_is_told_before_the_download(hub, gguf):
    hub.add("Acme/Huge-GGUF", {"huge.gguf": gguf[0]}, sizes={"huge.gguf": 10**15})
    planned = plan("hf:Acme/Huge-GGUF")
    assert not planned.plan.fits
    with pytest.raises(ModelFileError, match="needs 1,000,000,000,000,000 bytes of disk space") as caught:
        planned.run()
    assert "RAGKIT_CACHE" in caught.value.hint
    assert hub.requests == []


def test_disk_that_fills_up_keeps_what_arrived(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(ModelFileError, match="can't be written") as caught:
            pull("hf:Acme/Tiny-GGUF")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "continues where it stopped" in caught.value.hint
    assert pull("hf:Acme/Tiny-GGUF").read_bytes() == gguf[0]


def test_unreachable_hub_is_told(hub, monkeypatch):
    hub.close()
    with pytest.raises(ModelUnavailableError, match="can't be reached"):
        pull("hf:Acme/Tiny-GGUF")


def test_name_of_the_catalogue_is_pulled_from_the_hub(hub, gguf):
    hub.add("HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", {"smollm2-360m-instruct-q8_0.gguf": gguf[0]})
    with pytest.raises(ModelNotFoundError) as caught:
        open_model("smollm2-360m")
    assert caught.value.hint == "Get it: ragkit models pull smollm2-360m"
    pull("smollm2-360m")
    assert reply("smollm2-360m") > 0
    assert "smollm2-360m" in [info.name for info in installed_models()]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Qwen3-4B-Instruct-2507-Q4_K_M.gguf", "Q4_K_M"),
        ("model-q8_0.gguf", "Q8_0"),
        ("UD/model-UD-Q4_K_XL-00001-of-00002.gguf", "UD-Q4_K_XL"),
        ("model-f16.gguf", "F16"),
        ("model.IQ3_XXS.gguf", "IQ3_XXS"),
        ("gemma-3-4b-it.gguf", ""),
    ],
)
def test_quantisation_is_read_from_the_file_name(path, label):
    assert quantisation(path) == label


def test_small_files_are_checked_too(hub):
    import json

    config = json.dumps({"model_type": "bert"}).encode()
    hub.add("Acme/Embed", {"config.json": config, "tokenizer.json": b"{}", "model.safetensors": bytes(5000)})
    planned = plan("hf:Acme/Embed")
    assert planned.plan.kind == "embedding model or cross-encoder"
    hub.repos["Acme/Embed"]["files"]["config.json"] = b"x" * len(config)
    with pytest.raises(ModelFileError, match=r"config.json .* wrong checksum"):
        planned.run()


def test_sha256_of_the_stand_in_is_that_of_the_file(hub, gguf):
    hub.add("Acme/Tiny-GGUF", {"tiny.gguf": gguf[0]})
    (file,) = plan("hf:Acme/Tiny-GGUF").files
    assert file.sha256 == hashlib.sha256(gguf[0]).hexdigest()


def test_auto_is_the_largest_chat_model_that_suits_the_machine(monkeypatch):
    def model(name, size, **changes):
        return ModelInfo(name, size, f"/models/{name}.gguf", memory_bytes=size + 400_000_000, **changes)

    found = [
        model("small", 10**8),
        model("base", 2 * 10**9, chat=False),
        model("middle", 10**9),
        model("huge", 9 * 10**9),
    ]
    monkeypatch.setattr(opening, "installed_models", lambda: found)
    monkeypatch.setattr(opening, "memory", lambda: 16 * 10**9)
    assert opening.best_installed() == "middle"
    monkeypatch.setattr(opening, "memory", lambda: 10**9)
    assert opening.best_installed() == "small"
    monkeypatch.setattr(opening, "memory", lambda: None)
    assert opening.best_installed() == "small"
    found[:] = [model("base", 10**8, chat=False)]
    assert opening.best_installed() is None
