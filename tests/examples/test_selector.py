"""Every way of choosing keeps to one contract, over a real pool."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ragkit.errors import ExamplePoolError, QueryError, SettingsError
from ragkit.examples import DynamicSelector, ExamplePool, ExampleSelector, SelectorOptions
from ragkit.indexing import Field
from ragkit.records import Example
from tests.examples.conftest import EXAMPLES
from tests.indexing.hashing import HashingEmbedder

WAYS = [
    *(SelectorOptions(by=by) for by in ("dense", "keyword", "hybrid", "jaccard", "ngram", "random")),
    *(SelectorOptions(choice=choice) for choice in ("mmr", "dpp", "coverage", "keyword_coverage", "balanced")),
    SelectorOptions(by="keyword", choice="coverage"),
    SelectorOptions(by="hybrid", choice="keyword_coverage"),
]
ids = [f"{way.by}-{way.choice}" for way in WAYS]


@pytest.fixture(params=WAYS, ids=ids)
def selector(request, pool):
    return DynamicSelector(pool, request.param)


def test_selection_is_of_the_pool_and_told(selector):
    assert isinstance(selector, ExampleSelector)
    shots = selector.select("I have lost my card", 4)
    assert 1 <= len(shots) <= 4
    assert len({shot.example.input for shot in shots}) == len(shots)
    assert all(shot.example in EXAMPLES and shot.reason for shot in shots)


def test_same_input_gets_the_same_examples(selector):
    assert selector.select("change the PIN", 4) == selector.select("change the PIN", 4)


def test_own_example_is_never_chosen(selector):
    for example in EXAMPLES[::5]:
        for text in (example.input, f" {example.input.upper()}  "):
            assert example.input not in [shot.example.input for shot in selector.select(text, 20)]


def test_own_example_is_chosen_where_the_guard_is_off(pool):
    shots = DynamicSelector(pool, SelectorOptions(exclude_self=False)).select(EXAMPLES[3].input, 3)
    assert shots[-1].example == EXAMPLES[3]


def test_filter_holds_and_all_that_pass_come(pool):
    for way in WAYS:
        if way.by == "keyword":
            continue  # gives what shares a word, not all
        shots = DynamicSelector(pool, way, Field("output") == "change_pin").select("new rate for cards", 20)
        assert {shot.example.output for shot in shots} == {"change_pin"}
        assert len(shots) == 5


@pytest.mark.parametrize("by", ["dense", "keyword", "hybrid", "jaccard"])
def test_nearest_examples_are_of_the_right_kind_and_stand_last(pool, by):
    shots = DynamicSelector(pool, SelectorOptions(by=by)).select("please tell me the exchange rate", 3)
    assert shots[-1].example.output == "exchange_rate"
    assert [shot.score for shot in shots] == sorted(shot.score for shot in shots)
    first = DynamicSelector(pool, SelectorOptions(by=by, order="best_first")).select(
        "please tell me the exchange rate", 3
    )
    assert first == shots[::-1]


def test_balanced_choice_has_every_label(pool):
    shots = DynamicSelector(pool, SelectorOptions(choice="balanced")).select("a question on my card", 4)
    assert {shot.example.output for shot in shots} == {"lost_card", "card_arrival", "exchange_rate", "change_pin"}


def test_chance_differs_by_input_and_seed(pool):
    def chosen(text, seed):
        return [s.example.input for s in DynamicSelector(pool, SelectorOptions(by="random", seed=seed)).select(text, 6)]

    assert chosen("one", 0) == chosen("one", 0)
    assert chosen("one", 0) != chosen("two", 0)
    assert chosen("one", 0) != chosen("one", 1)


def test_what_is_added_later_is_seen(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add(EXAMPLES[:4])
        selectors = [DynamicSelector(pool, SelectorOptions(by=by)) for by in ("dense", "jaccard")]
        for selector in selectors:
            assert len(selector.select("zebra crossing", 9)) == 4
        pool.add([Example("a zebra crossing in town", "street")])
        for selector in selectors:
            assert selector.select("zebra crossing", 9)[-1].example.output == "street"


def test_long_example_is_one_however_many_chunks_it_has(tmp_path):
    long = "The mirror of the telescope has to cool for forty minutes before anybody observes. " * 60
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add([Example(long, "mirror"), Example("the bus leaves at ten", "bus")])
        shots = DynamicSelector(pool).select("how long does the mirror cool", 5)
    assert [shot.example.output for shot in shots] == ["bus", "mirror"]
    assert shots[-1].example.input == long


def test_other_scripts_are_chosen_by_their_words(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool:
        pool.add([Example("我的卡丢了", "lost"), Example("汇率是多少", "rate"), Example("بطاقتي ضاعت", "lost")])
        for by in ("jaccard", "keyword"):
            shots = DynamicSelector(pool, SelectorOptions(by=by)).select("美元的汇率", 1)
            assert shots[0].example.output == "rate"


def test_chance_takes_every_example_alike_however_long(tmp_path):
    long = "The mirror of the telescope has to cool for forty minutes before anybody observes. " * 60
    with ExamplePool.create(tmp_path / "p", embedder=HashingEmbedder()) as pool:
        pool.add([Example(long, "long"), *EXAMPLES[:9]])
        assert pool.index.chunk_count > 25
        selector = DynamicSelector(pool, SelectorOptions(by="random", duplicate_threshold=1))
        drawn = [selector.select(f"input {n}", 1)[0].example.output for n in range(300)]
    assert 10 <= drawn.count("long") <= 60


@pytest.mark.parametrize("choice", ["best", "mmr", "dpp"])
@pytest.mark.parametrize("by", ["dense", "hybrid", "keyword", "jaccard", "random"])
def test_input_is_embedded_once(tmp_path, by, choice):
    embedder = HashingEmbedder()
    with ExamplePool.create(tmp_path / "p", embedder=embedder) as pool:
        pool.add(EXAMPLES)
        embedder.embedded = 0
        assert DynamicSelector(pool, SelectorOptions(by=by, choice=choice)).select("is my new card lost", 4)
        assert embedder.embedded == 1


def test_threads_choose_what_one_alone_chooses(pool):
    selectors = [DynamicSelector(pool, SelectorOptions(by=by, choice="coverage")) for by in ("hybrid", "jaccard")]
    texts = [f"{example.input} please" for example in EXAMPLES]
    for selector in selectors:
        alone = [selector.select(text, 4) for text in texts]
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(selector.select, texts, [4] * len(texts))) == alone


def test_fields_of_long_and_short_examples_come_with_them(tmp_path):
    rows = [Example("word " * 900, "long", {"n": 1}), Example("  a short one \n", "short", {"n": 2})]
    with ExamplePool.create(tmp_path / "p", embedder=HashingEmbedder()) as pool:
        pool.add(rows)
        shots = DynamicSelector(pool, SelectorOptions(by="random")).select("something else", 9)
    assert sorted((shot.example for shot in shots), key=lambda one: one.output) == rows


def test_filter_that_nothing_passes_names_the_fields(pool):
    for by in ("dense", "keyword", "random", "jaccard"):
        with pytest.raises(ExamplePoolError, match=r"None of the 20 .*lang(.|\n)*output, lang, length"):
            DynamicSelector(pool, SelectorOptions(by=by), "lang == 'klingon'").select("my card")
        with pytest.raises(QueryError, match=r"field 'language'(.|\n)*lang, length, output"):
            DynamicSelector(pool, SelectorOptions(by=by), "language == 'en'").select("my card")


def test_keywords_that_nothing_shares_give_nothing(pool):
    assert DynamicSelector(pool, SelectorOptions(by="keyword")).select("zebra crossing", 3) == []


def test_text_that_is_no_filter_is_refused(pool):
    with pytest.raises(QueryError):
        DynamicSelector(pool, where="length >")


@pytest.mark.parametrize(
    ("text", "k", "says"), [("", 3, "empty"), ("  \n", 3, "empty"), ("x", 0, "got 0"), ("x" * 100_001, 1, "100,001")]
)
def test_input_that_can_not_be_is_an_error(selector, text, k, says):
    with pytest.raises(QueryError, match=says):
        selector.select(text, k)


def test_empty_pool_is_an_error_that_tells_how_to_fill_it(tmp_path):
    with ExamplePool.create(tmp_path / "p") as pool, pytest.raises(ExamplePoolError, match=r"pool\.add"):
        DynamicSelector(pool).select("x")


@pytest.mark.parametrize(
    "wrong", [{"by": "magic"}, {"choice": "x"}, {"order": "up"}, {"candidates": 0}, {"diversity": 1}]
)
def test_wrong_options_are_refused_with_the_legal_ones(wrong):
    with pytest.raises(SettingsError):
        SelectorOptions(**wrong)
