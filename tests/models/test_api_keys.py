"""Keys: where they are from, and that none is ever shown, whatever fails and however loud the logs are."""

import io
import logging
import sys
import traceback

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import NoKeyringError, PasswordDeleteError

from ragkit._keys import find_key, key_variable, set_key
from ragkit.cli.main import main
from ragkit.errors import ModelAuthenticationError, ModelError, SettingsError
from ragkit.models import complete, open_model
from ragkit.models.anthropic import AnthropicModel
from ragkit.models.api import ApiOptions, OpenAICompatibleModel
from ragkit.records import Message
from tests.models.endpoints import GOOD, GOOD_MESSAGE, SILENCE, Endpoint, event, said, said_start, told

ASK = [Message("user", "Hello?")]
KEY = "sk-very-secret-4711"
ECHO = told(f"the key {KEY} is not right")


class Memory(KeyringBackend):
    """A keyring that lives as long as the test."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        if (service, username) not in self.kept:
            raise PasswordDeleteError("no such entry")
        del self.kept[service, username]


class Locked(Memory):
    def get_password(self, service, username):
        raise NoKeyringError("locked")

    def set_password(self, service, username, password):
        raise NoKeyringError(f"can't keep {password}")


@pytest.fixture
def ring(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    yield keyring.get_keyring()
    keyring.set_keyring(before)


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*words, given="", check=0):
        monkeypatch.setattr(sys, "argv", ["ragkit", "models", "key", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        assert code == check, printed.err
        return printed.out + printed.err

    return run


@pytest.mark.parametrize("kind", [OpenAICompatibleModel, AnthropicModel])
@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, GOOD),
        (200, {}, GOOD_MESSAGE),
        (401, {}, ECHO),
        (403, {}, KEY.encode()),
        (404, {}, ECHO),
        (408, {}, ECHO),
        (429, {"Retry-After": "0"}, ECHO),
        (500, {}, ECHO),
        (400, {}, ECHO),
        (302, {"Location": "http://127.0.0.1:1/"}, ECHO),
        (200, {}, ECHO),
        (200, {}, b"x" * 110 + KEY.encode()),
        (200, {}, f"data: {{not json {KEY}\n\n".encode()),
        (200, {}, f"event: message_start\ndata: {{not json {KEY}\n\n".encode()),
        (200, {}, b"data: " + ECHO + b"\n\n"),
        (200, {}, said_start() + said("error", error={"type": "api_error", "message": KEY})),
        (200, {}, event("Hel")),
        (200, {"Content-Length": "9999"}, event("Hel")),
        (200, {}, SILENCE),
    ],
)
def test_key_is_never_shown(kind, answer, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "anthropic", "httpx", "httpcore", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, name)
    with Endpoint(answer) as server:
        address = server.url.replace("//", "//me:pass-word@")
        models = [kind("tiny", url, KEY, ApiOptions(max_retries=1, timeout=0.2)) for url in (server.url, address)]
        for model in models:
            shown = [repr(model), repr(model.options)]
            try:
                shown.append(repr(complete(model, ASK)))
            except ModelError as error:
                shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
                inner = error.__cause__ or error.__context__
                while inner is not None:
                    shown += [str(inner), repr(inner)]
                    inner = inner.__cause__ or inner.__context__
            shown.append(caplog.text)
            for text in shown:
                assert KEY[:9] not in text
                assert "pass-word" not in text
        assert server.requests  # it was called, and the key sent
        assert any(KEY in value for value in server.requests[0][0].values())
    assert caplog.records


def test_key_is_found_in_the_environment_before_the_keyring(ring, monkeypatch):
    assert find_key("OPENAI_API_KEY") is None
    set_key("OPENAI_API_KEY", " from-ring\n")
    assert find_key("OPENAI_API_KEY") == ("from-ring", "keyring")
    monkeypatch.setenv("OPENAI_API_KEY", "from-outside")
    assert find_key("OPENAI_API_KEY") == ("from-outside", "environment")


@pytest.mark.parametrize(
    ("name", "variable"),
    [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY"), ("groq", "GROQ_API_KEY"), ("MY_KEY", "MY_KEY")],
)
def test_provider_has_a_variable(name, variable):
    assert key_variable(name) == variable


def test_keyring_gives_the_key_that_is_sent(ring):
    set_key("MY_KEY", KEY)
    with Endpoint((200, {}, GOOD)) as server:
        complete(open_model("openai:tiny", base_url=server.url, api_key_env="MY_KEY"), ASK)
        assert server.requests[0][0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"])
def test_model_of_a_provider_needs_a_key_before_anything_is_sent(ring, name):
    with pytest.raises(ModelAuthenticationError, match="ragkit models key set"):
        open_model(name)


def test_command_sets_shows_and_deletes_without_showing_the_key(ring, command):
    said = command("set", "openai", given=f"{KEY}\n")
    assert ring.kept == {("ragkit", "OPENAI_API_KEY"): KEY}
    said += (shown := command("show", "openai"))
    assert "from the keyring" in shown
    said += command("show", "openai", "--json")
    said += command("delete", "OPENAI_API_KEY")
    assert ring.kept == {}
    said += (shown := command("show", "openai"))
    assert "there is none" in shown
    said += command("delete", "openai", check=2)
    assert KEY not in said


@pytest.mark.parametrize("given", ["", "  \n", "kéy\n"])
def test_command_takes_no_key_that_is_none(ring, command, given):
    assert "key" in command("set", "openai", given=given, check=2)
    assert ring.kept == {}


def test_machine_without_a_keyring_is_told(ring, command):
    keyring.set_keyring(Locked())
    shown = command("set", "openai", given=KEY, check=2)
    assert "environment variable OPENAI_API_KEY" in shown
    assert KEY not in shown
    assert find_key("OPENAI_API_KEY") is None
    with pytest.raises(SettingsError) as caught:
        set_key("OPENAI_API_KEY", KEY)
    assert KEY not in "".join(traceback.format_exception(caught.value))
