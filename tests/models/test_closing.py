"""A model that is closed while threads use it: its memory is freed when no call is inside, and later calls are told."""

import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

from ragkit.errors import ModelError
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.chain.fallback import FallbackModel, FallbackPolicy, Member
from ragkit.models.scripted import ScriptedModel
from ragkit.records import Message

ASK = [Message("user", "Count to three.")]
SCHEMA = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
AS_JSON = GenerationOptions(max_tokens=30, json_schema=SCHEMA)
FREES = ("llama_free", "llama_batch_free", "llama_model_free")


class Watched:
    """llama.cpp's functions; the first call of one of them is held up until the model is being closed.

    Args:
        library: the functions.
        target: the one to hold up; None for none.
    """

    def __init__(self, library, target=None):
        self._library = library
        self._target = target
        self.inside = threading.Event()
        """A call of the target is inside."""
        self.closing = threading.Event()
        """Set by the test once ``close`` was called."""
        self.freed = threading.Event()
        self.freed_in_use = False
        self._running = 0
        self._lock = threading.Lock()

    def __getattr__(self, name):
        found = getattr(self._library, name)
        # A grammar is freed by itself, without the model's memory, so that may happen while the model is freed.
        if isinstance(found, type) or not name.startswith("llama_") or name == "llama_sampler_free":
            return found

        def call(*arguments):
            if name in FREES:
                self.freed_in_use = self.freed_in_use or self._running > 0
                self.freed.set()
                return found(*arguments)
            with self._lock:
                self._running += 1
            try:
                if name == self._target and not self.inside.is_set():
                    self.inside.set()
                    assert self.closing.wait(60)
                    # What does not wait for this call frees the model now.
                    self.freed.wait(0.2)
                    assert not self.freed_in_use
                return found(*arguments)
            finally:
                with self._lock:
                    self._running -= 1

        return call


def watch(model, target):
    """Return the functions of a model, which are watched from now on."""
    engine = model._engine
    engine._library = engine._context.library = Watched(engine._library, target)
    return engine._library


@pytest.mark.parametrize(
    ("target", "use"),
    [
        ("llama_tokenize", lambda model: model.count_tokens(ASK)),
        ("llama_token_to_piece", lambda model: complete(model, ASK, GenerationOptions(max_tokens=9))),
        ("llama_vocab_is_eog", lambda model: complete(model, ASK, GenerationOptions(max_tokens=9))),
        ("llama_decode", lambda model: complete(model, ASK, GenerationOptions(max_tokens=9))),
        ("llama_decode", lambda model: model.score(ASK, ["one two three", "four"])),
        ("llama_decode", lambda model: model.choose(ASK, ["one two three", "four five six"])),
        ("llama_sampler_init_grammar", lambda model: complete(model, ASK, AS_JSON)),
        ("llama_sampler_apply", lambda model: complete(model, ASK, AS_JSON)),
        ("llama_sampler_accept", lambda model: complete(model, ASK, AS_JSON)),
        ("llama_vocab_get_text", lambda model: model._engine.name_of(1)),
        ("llama_model_meta_val_str", lambda model: model._engine.metadata("general.name")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_memory_is_freed_when_no_call_is_inside(target, use):
    model = open_model("smollm2", threads=1, window=256)
    library = watch(model, target)
    errors = []

    def run():
        try:
            use(model)
        except ModelError as error:
            errors.append(error)

    user, closer = threading.Thread(target=run), threading.Thread(target=model.close)
    user.start()
    assert library.inside.wait(60)
    closer.start()
    library.closing.set()
    user.join(60)
    closer.join(60)
    assert library.freed.is_set()
    assert not library.freed_in_use
    assert all("closed" in str(error) for error in errors)
    with pytest.raises(ModelError, match="closed"):
        use(model)


def test_close_ends_a_long_prompt_early():
    model = open_model("smollm2", threads=1, window=2048)
    library = watch(model, "llama_decode")

    def ask():
        with pytest.raises(ModelError, match="closed"):
            complete(model, [Message("user", "word " * 1500)])

    user = threading.Thread(target=ask)
    closer = threading.Thread(target=model.close)
    decoded = []
    plain = model._engine._decode
    model._engine._decode = lambda rows: decoded.append(len(rows)) or plain(rows)
    user.start()
    assert library.inside.wait(60)
    closer.start()
    while not model._engine._using.closing:
        pass
    library.closing.set()
    user.join(60)
    closer.join(60)
    assert len(decoded) == 1


def test_stream_that_is_read_on_after_closing_is_told():
    model = open_model("smollm2", threads=1, window=256)
    stream = model.stream(ASK, GenerationOptions(max_tokens=40))
    next(stream)
    model.close()
    with pytest.raises(ModelError, match="closed"):
        list(stream)


def test_chain_that_closes_waits_for_the_call_it_left_behind():
    clock = SimpleNamespace(now=0.0)
    chain = FallbackModel(
        [Member("smollm2", {"threads": 1, "window": 256}), ScriptedModel("Here.")],
        FallbackPolicy(timeout=9.0, check=lambda reply: None),
        clock=lambda: clock.now,
    )
    opened = chain._entries[0].open()
    engine = opened._engine
    library = watch(opened, "llama_token_to_piece")
    plain = engine.evaluate

    def late(tokens, stopped=None):
        clock.now += 1.0
        return plain(tokens, stopped)

    engine.evaluate = late

    def ask():
        with suppress(ModelError):
            complete(chain, ASK, GenerationOptions(max_tokens=50))

    waiting = threading.Thread(target=ask)
    waiting.start()
    assert library.inside.wait(60)
    clock.now += 100.0
    closer = threading.Thread(target=chain.close)
    closer.start()
    library.closing.set()
    closer.join(60)
    assert library.freed.is_set()
    assert not library.freed_in_use
    for thread in threading.enumerate():
        if thread.name == "ragkit-model":
            thread.join(60)
