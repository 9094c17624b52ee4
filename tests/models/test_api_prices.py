"""Prices: ragkit's own file, a user's before it, and what is wrong in one."""

import json
import tomllib

import pytest

from ragkit.cli.tasks import opened_model
from ragkit.errors import SettingsError
from ragkit.models import complete, open_model
from ragkit.models.prices import PRICES, Price, find_price
from ragkit.records import Message, Usage
from ragkit.settings import load_settings
from tests.models.endpoints import DONE, GOOD, Endpoint

COUNTS = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
PRICED = GOOD.replace(DONE, f"data: {json.dumps(COUNTS)}\n\n".encode() + DONE)


def test_every_entry_of_the_own_file_is_read_and_dated():
    tables = tomllib.loads(PRICES.read_text())
    assert tables.pop("written")
    for provider, models in tables.items():
        for model in models:
            price = find_price(provider, model)
            assert 0 < price.cached < price.prompt < price.completion


def test_dated_name_costs_what_the_plain_one_costs():
    plain = find_price("openai", "gpt-4o-mini")
    assert find_price("openai", "gpt-4o-mini-2024-07-18") == plain
    assert find_price("anthropic", "claude-haiku-4-5-20251001") == find_price("anthropic", "claude-haiku-4-5")
    assert find_price("openai", "gpt-4o-miniature") is None
    assert find_price("elsewhere", "gpt-4o-mini") is None


def test_cost_counts_cached_tokens_apart():
    usage = Usage(1_000_000, 500_000, 250_000)
    assert Price(2.0, 10.0, 0.4).cost(usage) == pytest.approx(1.5 + 0.1 + 5.0)
    assert Price(2.0, 10.0).cost(usage) == pytest.approx(2.0 + 5.0)


def test_own_file_goes_first_and_names_an_endpoint_by_its_host(tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text(
        '["127.0.0.1"]\ntiny = { prompt = 1.0, completion = 2.0 }\n'
        '[openai]\n"gpt-4o" = { prompt = 9, completion = 9 }\n'
    )
    assert find_price("openai", "gpt-4o", file) == Price(9, 9)
    assert find_price("openai", "gpt-4o-mini", file) == find_price("openai", "gpt-4o-mini")
    with Endpoint((200, {}, PRICED)) as server:
        ask = [Message("user", "Hello?")]
        assert complete(open_model("openai:tiny", base_url=server.url, prices=file), ask).usage.cost == 0.0012
        assert complete(open_model("openai:tiny", base_url=server.url), ask).usage.cost is None


def test_settings_name_the_file_and_the_endpoint(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text('["127.0.0.1"]\ntiny = { prompt = 1.0, completion = 2.0 }\n')
    monkeypatch.setenv("MY_KEY", "sk-mine")
    with Endpoint((200, {}, PRICED)) as server:
        (tmp_path / "ragkit.toml").write_text(
            f'prices = "mine.toml"\nbase_url = "{server.url}"\napi_key_env = "MY_KEY"\n'
        )
        model = opened_model("openai:tiny", load_settings(tmp_path))
        assert complete(model, [Message("user", "Hello?")]).usage.cost == 0.0012
        assert server.requests[0][0]["authorization"] == "Bearer sk-mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[openai]\n"x" = { prompt = 1 }', "openai x"),
        ('[openai]\n"x" = { prompt = -1, completion = 1 }', "openai x"),
        ('[openai]\n"x" = { prompt = "1", completion = 1 }', "openai x"),
        ('[openai]\n"x" = { prompt = 1, completion = 1, per = 1 }', "openai x"),
        ("[openai]\nx = 3", "openai x"),
        ("openai = 3", "openai"),
        ("[openai", "not valid TOML"),
        (None, "can't be read"),
    ],
)
def test_wrong_file_says_what_is_wrong(tmp_path, text, says):
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=says):
        find_price("openai", "x", file)
