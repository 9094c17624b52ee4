"""Selectors both ways, in LangChain's own few-shot prompts and over its own vector store."""

import asyncio
import subprocess
import sys

import pytest
from langchain_core.example_selectors import (
    BaseExampleSelector,
    LengthBasedExampleSelector,
    MaxMarginalRelevanceExampleSelector,
    SemanticSimilarityExampleSelector,
)
from langchain_core.prompts import (
    ChatPromptTemplate,
    FewShotChatMessagePromptTemplate,
    FewShotPromptTemplate,
    PromptTemplate,
)
from langchain_core.vectorstores import InMemoryVectorStore

from ragkit.errors import ExamplePoolError, QueryError, SettingsError
from ragkit.examples import DynamicSelector, ExampleSelector, SelectorOptions, TokenBudget
from ragkit.integrations import LangChainSelector, RagkitExampleSelector
from ragkit.records import Example
from tests.integrations.conftest import ROWS

ASKED = "somebody took my card, I lost it"
PAIR = PromptTemplate.from_template("{input} => {output}")


@pytest.fixture
def ours(pool):
    return RagkitExampleSelector(DynamicSelector(pool), k=3)


def similar(embeddings, kind=SemanticSimilarityExampleSelector, rows=ROWS, **options):
    return kind.from_examples(rows, embeddings, InMemoryVectorStore, input_keys=["input"], **options)


class WithoutPool:
    """A selector of ragkit's that has no pool."""

    def select(self, text, k=8, budget=None):
        return []


# ragkit's in LangChain


def test_selector_gives_rows_in_its_order(ours, pool):
    shots = DynamicSelector(pool).select(ASKED, 3)
    assert ours.select_examples({"input": ASKED}) == [
        {"input": shot.example.input, "output": shot.example.output} for shot in shots
    ]
    assert shots[-1].example.output == "lost_card"


def test_selector_own_keys_and_fields(pool):
    selector = RagkitExampleSelector(
        DynamicSelector(pool), k=2, input_key="question", output_key="intent", fields=["lang", "length"]
    )
    rows = selector.select_examples({"question": ASKED, "other": "unused"})
    assert [set(row) for row in rows] == [{"question", "intent", "lang", "length"}] * 2
    assert all(row["length"] == len(row["question"]) for row in rows)


def test_few_shot_prompt_sync_and_async(ours):
    prompt = FewShotPromptTemplate(
        example_selector=ours, example_prompt=PAIR, suffix="{input} =>", input_variables=["input"]
    )
    lines = [f"{row['input']} => {row['output']}" for row in ours.select_examples({"input": ASKED})]
    text = "\n\n".join([*lines, f"{ASKED} =>"])
    assert prompt.format(input=ASKED) == text
    assert asyncio.run(prompt.aformat(input=ASKED)) == text
    assert prompt.invoke({"input": ASKED}).to_string() == text


def test_few_shot_chat_prompt_sync_and_async(ours):
    shots = FewShotChatMessagePromptTemplate(
        example_selector=ours,
        example_prompt=ChatPromptTemplate.from_messages([("human", "{input}"), ("ai", "{output}")]),
        input_variables=["input"],
    )
    prompt = ChatPromptTemplate.from_messages([("system", "Name the intent."), shots, ("human", "{input}")])
    rows = ours.select_examples({"input": ASKED})
    turns = [text for row in rows for text in (row["input"], row["output"])]
    messages = prompt.invoke({"input": ASKED}).to_messages()
    assert [message.content for message in messages] == ["Name the intent.", *turns, ASKED]
    assert [message.type for message in messages] == ["system", *["human", "ai"] * 3, "human"]
    assert asyncio.run(prompt.ainvoke({"input": ASKED})).to_messages() == messages


def test_many_async_calls_at_once_give_what_each_gives_alone(ours):
    texts = [row["input"] for row in ROWS]

    async def together():
        return await asyncio.gather(*(ours.aselect_examples({"input": text}) for text in texts))

    assert asyncio.run(together()) == [ours.select_examples({"input": text}) for text in texts]


def test_added_example_is_chosen_next(ours, pool):
    before = len(pool)
    report = ours.add_example({"input": "somebody took my card and I lost it!", "output": "stolen_card", "year": 2026})
    assert (report.added, len(pool)) == (1, before + 1)
    assert ours.select_examples({"input": ASKED})[-1]["output"] == "stolen_card"
    assert next(example for example in pool if example.output == "stolen_card").metadata == {"year": 2026}
    assert ours.add_example({"input": "Somebody took my card and I  lost it!", "output": "stolen_card"}).known == 1


def test_example_added_async_is_chosen_next(ours):
    asyncio.run(ours.aadd_example({"input": "somebody took my card and I lost it!", "output": "stolen_card"}))
    assert asyncio.run(ours.aselect_examples({"input": ASKED}))[-1]["output"] == "stolen_card"


def test_adding_without_a_pool_or_a_field_is_an_error(ours):
    with pytest.raises(ExamplePoolError, match="WithoutPool has no pool"):
        RagkitExampleSelector(WithoutPool()).add_example({"input": "a", "output": "b"})
    with pytest.raises(ExamplePoolError, match="no field 'output'"):
        ours.add_example({"input": "a", "answer": "b"})
    with pytest.raises(ExamplePoolError, match=r"refused: .* empty input"):
        ours.add_example({"input": " ", "output": "b"})


def test_wrong_variables_and_fields_are_errors(ours, pool):
    with pytest.raises(QueryError, match="no 'input'; they have 'question'"):
        ours.select_examples({"question": ASKED})
    with pytest.raises(QueryError, match="empty"):
        ours.select_examples({"input": "  "})
    with pytest.raises(ExamplePoolError, match="no field 'year'; it has 'lang', 'length'"):
        RagkitExampleSelector(DynamicSelector(pool), fields=["year"]).select_examples({"input": ASKED})


@pytest.mark.parametrize(
    ("options", "said"),
    [({"k": 0}, "got 0"), ({"input_key": "output"}, "named twice"), ({"fields": ["input"]}, "named twice")],
)
def test_wrong_options_are_errors(pool, options, said):
    with pytest.raises(SettingsError, match=said):
        RagkitExampleSelector(DynamicSelector(pool), **options)


# LangChain's in ragkit


def test_similarity_selector_chooses_as_it_does_in_langchain(embeddings):
    theirs = similar(embeddings, k=4)
    shots = LangChainSelector(theirs).select(ASKED, 4)
    rows = theirs.select_examples({"input": ASKED})
    assert [(shot.example.input, shot.example.output) for shot in shots] == [(r["input"], r["output"]) for r in rows]
    assert [shot.score for shot in shots] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert {shot.example.metadata["lang"] for shot in shots} == {"en"}
    assert shots[1].reason == "number 2 of LangChain's SemanticSimilarityExampleSelector, without scores"


def test_k_is_the_callers_and_leaves_the_selector_alone(embeddings):
    theirs = similar(embeddings, k=2)
    selector = LangChainSelector(theirs)
    assert [len(selector.select(ASKED, k)) for k in (1, 2, 7)] == [1, 2, 7]
    assert selector.select(ASKED, 7)[:1] == selector.select(ASKED, 1)
    assert theirs.k == 2
    assert len(theirs.select_examples({"input": ASKED})) == 2


def test_mmr_selector_begins_with_the_nearest_and_is_more_varied(embeddings):
    mmr = LangChainSelector(similar(embeddings, MaxMarginalRelevanceExampleSelector, k=4, fetch_k=20))
    nearest = LangChainSelector(similar(embeddings))
    varied, near = mmr.select(ASKED, 4), nearest.select(ASKED, 4)
    assert varied[0].example == near[0].example
    assert len({shot.example.output for shot in varied}) > len({shot.example.output for shot in near})
    theirs = mmr.selector.select_examples({"input": ASKED})
    assert [shot.example.input for shot in varied] == [row["input"] for row in theirs]
    assert len(mmr.select(ASKED, 20)) == len(ROWS)


def test_length_selector_gives_what_fits_in_its_order():
    theirs = LengthBasedExampleSelector(examples=ROWS, example_prompt=PAIR, max_length=40)
    shots = LangChainSelector(theirs).select("short", 8)
    assert [shot.example.input for shot in shots] == [r["input"] for r in theirs.select_examples({"input": "short"})]
    assert 0 < len(shots) < 8
    assert [shot.example.input for shot in LangChainSelector(theirs).select("short", 2)] == [
        row["input"] for row in ROWS[:2]
    ]
    assert LangChainSelector(theirs).select("long " * 60, 8) == []


def characters(example):
    return len(example.input)


def test_room_passes_over_what_is_too_long(embeddings, pool):
    selector = LangChainSelector(similar(embeddings, k=1))
    nearest, second, *others = selector.select(ASKED, 20)
    short = next(shot for shot in others if characters(shot.example) < characters(second.example))
    budget = TokenBudget(characters(nearest.example) + characters(short.example), characters)
    assert selector.select(ASKED, 20, budget) == [nearest, short]
    ours = RagkitExampleSelector(DynamicSelector(pool), k=20, budget=budget)
    assert 0 < sum(len(row["input"]) for row in ours.select_examples({"input": ASKED})) <= budget.tokens


def test_best_last_turns_the_order_round(embeddings):
    theirs = similar(embeddings)
    forward, back = LangChainSelector(theirs), LangChainSelector(theirs, best_last=True)
    assert back.select(ASKED, 3) == forward.select(ASKED, 3)[::-1]


def test_own_example_is_hidden_unless_wanted(embeddings):
    text = ROWS[0]["input"]
    theirs = similar(embeddings)
    hidden = LangChainSelector(theirs).select(text.upper(), 4)
    assert len(hidden) == 4
    assert text not in [shot.example.input for shot in hidden]
    assert LangChainSelector(theirs, exclude_self=False).select(text, 4)[0].example.input == text


def test_own_keys_and_further_variables(embeddings):
    rows = [{"q": row["input"], "tongue": "English", "a": row["output"]} for row in ROWS]
    theirs = SemanticSimilarityExampleSelector.from_examples(
        rows, embeddings, InMemoryVectorStore, input_keys=["q", "tongue"]
    )
    selector = LangChainSelector(theirs, input_key="q", output_key="a", variables={"tongue": "English"})
    assert selector.select(ASKED, 2)[0].example.output == "lost_card"
    with pytest.raises(ExamplePoolError, match="no field 'output'; it has 'q', 'tongue', 'a'"):
        LangChainSelector(theirs, input_key="q", variables={"tongue": "English"}).select(ASKED, 2)


def test_wrong_selectors_and_inputs_are_errors(embeddings, pool):
    with pytest.raises(SettingsError, match="DynamicSelector is not a LangChain selector"):
        LangChainSelector(DynamicSelector(pool))
    with pytest.raises(SettingsError, match="is not an ExampleSelector"):
        RagkitExampleSelector(similar(embeddings))
    with pytest.raises(QueryError, match="empty"):
        LangChainSelector(similar(embeddings)).select(" ")
    with pytest.raises(QueryError, match="got 0"):
        LangChainSelector(similar(embeddings)).select(ASKED, 0)


# there and back


def test_ragkit_to_langchain_and_back_chooses_the_same(pool):
    for options in (SelectorOptions(), SelectorOptions(by="keyword", choice="mmr"), SelectorOptions(by="jaccard")):
        first = DynamicSelector(pool, options)
        there = RagkitExampleSelector(first, k=5, fields=["lang", "length"])
        back = LangChainSelector(there)
        assert isinstance(there, BaseExampleSelector)
        assert isinstance(back, ExampleSelector)
        assert back.select(ASKED, 2) == first.select(ASKED, 2)


def test_langchain_to_ragkit_and_back_gives_the_same_rows(embeddings):
    first = similar(embeddings, k=5)
    back = RagkitExampleSelector(LangChainSelector(first), k=5, fields=["lang"])
    assert back.select_examples({"input": ASKED}) == first.select_examples({"input": ASKED})


def test_both_embed_alike_so_both_choose_alike(pool, embeddings):
    own = DynamicSelector(pool, SelectorOptions(order="best_first"))
    theirs = LangChainSelector(similar(embeddings))
    for row in ROWS[::5]:
        text = f"please help: {row['input']}"
        assert [s.example.input for s in own.select(text, 3)] == [s.example.input for s in theirs.select(text, 3)]


def test_missing_langchain_names_the_extra():
    code = "import sys; sys.modules['langchain_core'] = None; import ragkit.integrations"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError: langchain-core is not installed" in done.stderr
    assert "pip install 'ragkit[langchain]'" in done.stderr


def test_example_record_has_plain_values(embeddings):
    rows = [{"input": "a card", "output": "card", "tags": ["x", "y"], "year": 2026, "note": None}]
    shot = LangChainSelector(similar(embeddings, rows=rows)).select("my card", 1)[0]
    assert shot.example == Example("a card", "card", {"tags": '["x", "y"]', "year": 2026})
