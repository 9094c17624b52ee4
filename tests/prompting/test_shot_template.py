"""Examples and an input to messages: in turns, in lines, with fields, and with data that looks like a form."""

import pytest

from ragkit.errors import PromptError, SettingsError
from ragkit.prompting import ShotTemplate
from ragkit.records import Example, Message

SHOTS = [Example("one", "1", {"lang": "en"}), Example("zwei", "2", {"lang": "de"})]


def test_turns_are_pairs_of_messages():
    messages = ShotTemplate("Say the number.").messages(SHOTS, "three")
    assert messages == [
        Message("system", "Say the number."),
        Message("user", "one"),
        Message("assistant", "1"),
        Message("user", "zwei"),
        Message("assistant", "2"),
        Message("user", "three"),
    ]


def test_lines_are_one_message_that_ends_where_the_answer_begins():
    (message,) = ShotTemplate(style="lines", output_name="Number").messages(SHOTS, "three")
    assert message == Message("user", "Input: one\nNumber: 1\n\nInput: zwei\nNumber: 2\n\nInput: three\nNumber:")


def test_forms_show_fields_of_examples_and_of_the_input():
    template = ShotTemplate(input_form="[{lang}] {input}", output_form="<{output}>")
    messages = template.messages(SHOTS[1:], "trois", {"lang": "fr"})
    assert [m.content for m in messages] == ["[de] zwei", "<2>", "[fr] trois"]
    with pytest.raises(PromptError, match=r"'lang' that 'trois' lacks"):
        template.messages(SHOTS, "trois")


def test_braces_in_data_mean_nothing():
    messages = ShotTemplate().messages([Example("{output} {0} {lang}", "{input}")], "{output}")
    assert [m.content for m in messages] == ["{output} {0} {lang}", "{input}", "{output}"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"style": "prose"}, "turns, lines"),
        ({"input_form": "{input} -> {output}"}, "shows the output"),
        ({"output_form": "none"}, "shows no field"),
    ],
)
def test_wrong_template_is_refused(wrong, told):
    with pytest.raises(SettingsError, match=told):
        ShotTemplate(**wrong)
