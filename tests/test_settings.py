"""Settings: file, environment, errors."""

from pathlib import Path

import pytest

from ragkit.errors import SettingsError
from ragkit.settings import load_settings


def test_defaults_without_a_file(tmp_path):
    settings = load_settings(tmp_path)
    assert settings.indexes == Path("indexes")
    assert settings.mode == "auto"


def test_file_is_found_upwards_and_its_paths_are_its_own(tmp_path):
    (tmp_path / "ragkit.toml").write_text('indexes = "built"\nk = 4\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    settings = load_settings(inner)
    assert settings.k == 4
    assert settings.indexes == tmp_path / "built"


def test_environment_wins_over_the_file(tmp_path, monkeypatch):
    (tmp_path / "ragkit.toml").write_text('mode = "chat"\n')
    monkeypatch.setenv("RAGKIT_MODE", "quotes")
    assert load_settings(tmp_path).mode == "quotes"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("k = 0", "greater than or equal to 1"),
        ('mode = "guess"', "'quotes'"),
        ("speed = 3", "speed"),
        ("k = ", "not valid TOML"),
    ],
)
def test_wrong_file_says_what_and_where(tmp_path, text, told):
    (tmp_path / "ragkit.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"ragkit\.toml") as caught:
        load_settings(tmp_path)
    assert told in str(caught.value)


def test_wrong_environment_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_K", "many")
    with pytest.raises(SettingsError, match="environment"):
        load_settings(tmp_path)
