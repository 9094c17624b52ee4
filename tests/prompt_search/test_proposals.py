"""Instructions out of what models reply."""

import pytest

from ragkit.examples.pool import normal
from ragkit.prompt_search.base import ExampleScore
from ragkit.prompt_search.proposals import ask_by_history, ask_to_improve, leaked_input, read_instruction
from ragkit.records import Example


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("Sort the words.", "Sort the words."),
        ("\n\n  Sort the words.\n\nThat is all.", "Sort the words."),
        ("Instruction: Sort the words.", "Sort the words."),
        ("Instruction:\n\nSort the words.\nInput: b a\nOutput: a b", "Sort the words."),
        ("**Instruction:** Sort the words.", "Sort the words."),
        ("Sure! Here is a better instruction: Sort the words.", "Sort the words."),
        ('Sure! Here it is:\n\n"Sort the words."\n\nI hope it helps.', "Sort the words."),
        ('Instruction: "Sort the words."', "Sort the words."),
        ('"Instruction: Sort the words."', "Sort the words."),
        ("“Sort the words.”", "Sort the words."),
        ("`Sort the words.`", "Sort the words."),
        ("The instruction was to sort the words.", "Sort the words."),
        ("The instruction is: sort the words.", "sort the words."),
        ("1. Sort the words.\n2. Order the words.", "Sort the words."),
        ("- Sort the words.", "Sort the words."),
        ("### Sort the words.", "Sort the words."),
        ("<INS>Sort the words.</INS>", "Sort the words."),
        ("Here: <INS>\nSort the words.", "Sort the words."),
        ("It failed on names.\n```\nSort the words.\nLeave names.\n```\nDone.", "Sort the words.\nLeave names."),
        ("```text\nSort the words.", "Sort the words."),
        ('Answer with "yes" or "no" only.', 'Answer with "yes" or "no" only.'),
        ("Write it as the author's friend wouldn't.", "Write it as the author's friend wouldn't."),
        ("Follow these steps: read, then sort.", "Follow these steps: read, then sort."),
        ("指示:按字母排序。", "指示:按字母排序。"),
        ("Сортируй слова.", "Сортируй слова."),
        ("Instruction: Sort the words. Score: 50", "Sort the words."),
        ("Input: b a\nOutput: a b\nSort the words.", "Sort the words."),
        ("Wanted output: a b. Feedback: Right.", ""),
        ("", ""),
        (" \n\t\n", ""),
        ("...\n---", ""),
        ("Instruction:", ""),
        ("```\n```", ""),
    ],
)
def test_instruction_is_read_from_a_reply(reply, wanted):
    assert read_instruction(reply) == wanted


@pytest.mark.parametrize(
    ("instruction", "wanted"),
    [
        ("Sort things such as: My  CARD is\nlost today.", "my card is lost today"),
        ("Sort the words.", None),
        ("Say no to all.", "no"),
        ("Sort the nouns.", None),
        ("例如:我的银行卡昨天在出租车上丢了。", "我的银行卡昨天在出租车上丢了"),
    ],
)
def test_leaked_input_is_found(instruction, wanted):
    inputs = [normal(text) for text in ("my card is lost today", "no", "我的银行卡昨天在出租车上丢了", "")]
    assert leaked_input(instruction, inputs) == wanted


def test_history_without_instructions_shows_the_examples_alone():
    (message,) = ask_by_history([], [Example("b a", "a b")])
    assert "Score" not in message.content
    assert "Input: b a\nOutput: a b" in message.content


def test_mending_shows_the_score_where_there_is_no_feedback():
    (message,) = ask_to_improve("", [(Example("b a", "a b"), ExampleScore(0.25))])
    assert "```\n(none)\n```" in message.content
    assert "Feedback: score 0.25 of 1" in message.content
