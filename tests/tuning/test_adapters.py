"""The folder of adapters: versions, which one is in use, deleting."""

import json

import pytest

from ragkit.errors import ModelFileError, ModelNotFoundError, SettingsError
from ragkit.models import open_model
from ragkit.models.adapters import CARD, LORA, AdapterStore, tuned_model


@pytest.fixture
def store(tmp_path):
    for name, numbers in {"bank": (1, 2, 10), "docs": (1,)}.items():
        for number in numbers:
            folder = tmp_path / name / str(number)
            folder.mkdir(parents=True)
            (folder / CARD).write_text(json.dumps({"name": name, "base": {"name": "smollm2", "sha256": "x"}}))
    (tmp_path / "bank" / "training").mkdir()
    return AdapterStore(tmp_path)


def names(versions):
    return [f"{one.name}@{one.version}" for one in versions]


def test_versions_are_listed_oldest_first(store):
    assert names(store.versions()) == ["bank@1", "bank@2", "bank@10", "docs@1"]
    assert names(store.versions("bank")) == ["bank@1", "bank@2", "bank@10"]
    assert AdapterStore(store.folder / "none").versions() == []


def test_promoted_version_is_the_one_in_use(store):
    with pytest.raises(ModelNotFoundError, match="No version of bank is in use"):
        store.find("bank")
    assert store.promote("bank@2").promoted
    assert store.find("bank").version == 2
    store.promote("bank@10")
    assert [one.promoted for one in store.versions("bank")] == [False, False, True]
    assert store.find("bank@1").version == 1


def test_deleting_the_version_in_use_leaves_none(store):
    store.promote("bank@2")
    store.delete("bank@1")
    assert store.find("bank").version == 2
    store.delete("bank@2")
    assert names(store.versions()) == ["bank@10", "docs@1"]
    with pytest.raises(ModelNotFoundError):
        store.find("bank")
    store.delete("bank")
    assert names(store.versions()) == ["docs@1"]


@pytest.mark.parametrize("name", ["..", "../docs", "a/b", "", ".hidden"])
def test_names_that_lead_elsewhere_are_refused(store, name):
    for use in (store.find, store.delete, store.versions):
        with pytest.raises(SettingsError):
            use(name)
    assert (store.folder / "docs" / "1" / CARD).is_file()


def test_what_is_missing_is_said_with_what_there_is(store):
    with pytest.raises(ModelNotFoundError, match="bank, docs"):
        store.find("cars")
    with pytest.raises(ModelNotFoundError, match="1, 2, 10"):
        store.find("bank@3")
    with pytest.raises(SettingsError, match="no version number"):
        store.promote("bank")


def test_damaged_card_is_an_error_of_the_file(store):
    (store.folder / "docs" / "1" / CARD).write_text("{")
    with pytest.raises(ModelFileError, match="docs"):
        store.versions()


def test_adapter_without_a_gguf_form_can_not_be_opened(store):
    with pytest.raises(ModelFileError, match="which llama"):
        tuned_model("docs@1", store.folder)


def test_adapter_of_another_base_is_not_opened(store, tmp_path):
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF of another kind")
    folder = store.folder / "docs" / "1"
    (folder / LORA).write_bytes(b"GGUF")
    for base, error, said in (
        ({"name": str(other), "sha256": "0" * 64}, ModelFileError, "was trained on 0000"),
        ({"name": str(tmp_path / "gone.gguf"), "sha256": "0" * 64}, ModelNotFoundError, "is missing"),
        ({"name": "smollm2", "sha256": "0" * 64}, ModelFileError, "was trained on 0000"),
    ):
        (folder / CARD).write_text(json.dumps({"name": "docs", "base": base}))
        with pytest.raises(error, match=said):
            tuned_model("docs@1", store.folder)


def test_open_model_looks_for_adapters_where_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match="There is no adapter 'docs' in adapters"):
        open_model("tuned:docs")
