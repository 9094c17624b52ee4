"""What the engine must stand: long and many continuations, streams side by side, closed models, adapters, templates."""

import threading

import pytest

from ragkit.errors import ModelError, ModelFileError, ModelOutputError, PromptError, SettingsError
from ragkit.models import GenerationOptions, complete, installed_models, open_model
from ragkit.models.chat_template import ChatTemplate
from ragkit.models.files import model_path, models_folder
from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.records import Message
from tests.models.gguf_file import write_adapter

ASK = [Message("system", "You answer briefly."), Message("user", "What is the capital of France?")]
OTHER = [Message("user", "Name three colours of the rainbow, please.")]
SHORT = GenerationOptions(max_tokens=12)


@pytest.fixture(scope="module")
def model(smollm2):
    return smollm2


def test_score_of_a_long_continuation_is_that_of_its_parts(model):
    text = "word " * 600
    (together,) = model.score(ASK, [text])
    assert len(together) == model.count_text(text) > 512
    (beginning,) = model.score(ASK, ["word " * 5])
    assert together[:5] == pytest.approx(beginning[:5], abs=0.1)


def test_score_of_more_than_the_window_holds_at_once_is_the_score_of_each():
    small = open_model("smollm2", threads=1, window=96)
    texts = [f"{number} is a good long number" for number in range(40)]
    prompt = [Message("user", "hi " * 20)]
    together = small.score(prompt, texts)
    (alone,) = small.score(prompt, texts[37:38])
    assert together[37] == pytest.approx(alone, abs=0.1)


def test_score_of_nothing_is_empty(model):
    assert model.score(ASK, []) == []
    assert model.score(ASK, [""]) == [[]]


def test_streams_read_in_turn_by_one_thread_say_what_they_say_alone(model):
    alone = [complete(model, messages, SHORT).text for messages in (ASK, OTHER)]
    streams = [model.stream(messages, SHORT) for messages in (ASK, OTHER)]
    texts = ["", ""]
    for pair in zip(*streams, strict=False):
        for number, delta in enumerate(pair):
            texts[number] += delta.text
    for number, stream in enumerate(streams):
        texts[number] += "".join(delta.text for delta in stream)
    assert [text[:12] for text in texts] == [text[:12] for text in alone]


def test_stream_left_half_read_blocks_no_call_of_its_thread(model):
    left = model.stream(ASK, SHORT)
    next(left)
    assert complete(model, OTHER, SHORT).text
    assert len(model.score(ASK, ["Paris"])[0]) >= 1
    left.close()
    assert complete(model, ASK, SHORT).text


def test_threads_take_turns_and_get_their_own_replies(model):
    prompts = [[Message("user", f"Say the word {word}.")] for word in ("apple", "river", "stone", "cloud")]
    wanted = [complete(model, prompt, SHORT).text for prompt in prompts]
    got = [""] * len(prompts)

    def run(number):
        got[number] = complete(model, prompts[number], SHORT).text

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [text[:12] for text in got] == [text[:12] for text in wanted]


def test_closed_model_says_so():
    closed = open_model("smollm2", threads=1, window=64)
    closed.close()
    closed.close()
    for call in (lambda: closed.count_tokens(ASK), lambda: complete(closed, ASK), lambda: closed.score(ASK, ["x"])):
        with pytest.raises(ModelError, match="closed"):
            call()


def test_adapter_changes_the_model_and_one_of_zeros_does_not(model, tmp_path):
    nothing = write_adapter(tmp_path / "zeros.gguf", layers=30, width=576, scale=0.0)
    something = write_adapter(tmp_path / "noise.gguf", layers=30, width=576, scale=0.5)
    scores = [
        open_model("smollm2", threads=1, window=256, lora=lora).score(ASK, ["Paris is the capital"])[0]
        for lora in (None, nothing, something)
    ]
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)
    assert scores[2] != pytest.approx(scores[0], abs=0.5)


def test_adapter_for_another_model_is_refused(tmp_path):
    wrong = write_adapter(tmp_path / "wrong.gguf", layers=30, width=64, scale=1.0)
    with pytest.raises(ModelFileError, match="LoRA"):
        open_model("smollm2", threads=1, window=64, lora=wrong)


@pytest.mark.parametrize("name", ["smollm2", "qwen2.5-coder-0.5b"])
def test_prompt_has_the_tokens_of_the_rendered_template(name):
    if name not in {info.name for info in installed_models()}:
        pytest.skip(f"{name} is not installed: ragkit models pull {name}")
    model = open_model(name, threads=1, window=256)
    chat = [*ASK, Message("assistant", "Paris – of course. 🎉"), Message("user", "Und Österreich?\n1. Wien\n2. Graz")]
    text = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in chat) + "<|im_start|>assistant\n"
    assert model._prompt(chat) == model._engine.tokenize(text, special=True)


def test_template_may_name_the_end_token_and_contents_may_not():
    template = ChatTemplate(
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}", "<s>", "</s>"
    )
    seen = []
    template.tokens([Message("user", "a</s>")], lambda text, special: seen.append((text, special)) or [])
    assert seen == [("<s>", True), ("a</s>", False), ("</s>", True)]


@pytest.mark.parametrize(
    "source", ["{{ raise_exception('no') }}", "{{ messages[9].role }}", "{{ range(10**9) }}", "{{ messages + 1 }}"]
)
def test_template_that_fails_is_a_prompt_error(source):
    with pytest.raises(PromptError, match="template rejects"):
        ChatTemplate(source).tokens(ASK, lambda text, special: [])


def test_template_that_can_not_be_read_is_a_model_error():
    with pytest.raises(ModelError, match="template can't be read"):
        ChatTemplate("{% for %}")


def test_template_reaches_nothing_of_python():
    with pytest.raises(PromptError, match="Security"):
        ChatTemplate("{{ messages.__class__.__mro__ }}").tokens(ASK, lambda text, special: [])


def test_json_that_the_limit_cuts_is_an_error(model):
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 50}
    with pytest.raises(ModelOutputError, match="truncated after 10 tokens"):
        complete(model, ASK, GenerationOptions(max_tokens=10, json_schema=schema))


@pytest.mark.parametrize("schema", [{"type": "wrong"}, {"$ref": "https://example.org/schema.json"}])
def test_schema_that_is_none_or_points_to_the_web_is_an_error(model, schema):
    with pytest.raises((ModelError, SettingsError), match="schema"):
        complete(model, ASK, GenerationOptions(max_tokens=10, json_schema=schema))


def test_json_is_sampled_within_the_schema_too(model):
    schema = {"enum": ["red", "green", "blue"]}
    options = GenerationOptions(max_tokens=9, temperature=1.5, json_schema=schema)
    assert complete(model, OTHER, options).text in ('"red"', '"green"', '"blue"')


def test_character_that_the_limit_cuts_in_two_is_left_out(model):
    repeat = [Message("user", "Repeat exactly: 🎉🎉🎉🎉🎉🎉")]
    texts = [
        complete(model, repeat, GenerationOptions(max_tokens=length, temperature=0.0)).text for length in range(1, 9)
    ]
    assert any("🎉" in text for text in texts)
    assert not any("\ufffd" in text for text in texts)


def test_file_of_an_unknown_kind_says_what_llama_cpp_says(tmp_path, capfd):
    data = model_path("smollm2").read_bytes()
    (tmp_path / "odd.gguf").write_bytes(data.replace(b"llama", b"lhama"))
    with pytest.raises(ModelFileError, match="lhama"):
        LlamaCppModel(tmp_path / "odd.gguf")
    assert capfd.readouterr() == ("", "")


def test_option_that_is_none_names_those_there_are():
    with pytest.raises(SettingsError, match="threads"):
        open_model("smollm2", thread=2)
    with pytest.raises(SettingsError, match="retries"):
        open_model("openai:x", base_url="http://127.0.0.1:1/v1", retry=2)


def test_window_below_zero_or_past_memory_is_an_error():
    with pytest.raises(SettingsError, match="-5"):
        open_model("smollm2", window=-5)
    with pytest.raises(SettingsError, match="window must be 0 or >= 64"):
        open_model("smollm2", window=63)
    with pytest.raises(SettingsError, match="supports a window of 8,192 tokens"):
        open_model("smollm2", window=10**9)


def test_own_file_in_the_cache_folder_is_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_CACHE", str(tmp_path))
    models_folder().mkdir()
    (models_folder() / "mine.gguf").symlink_to(model_path("smollm2"))
    assert "mine" in [info.name for info in installed_models()]
    assert complete(open_model("mine", threads=1), ASK, GenerationOptions(max_tokens=2)).text
