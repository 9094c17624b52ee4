"""Selectors come back from their files as they were, or say why not."""

import json
import shutil

import pytest

from ragkit.errors import ExamplePoolError, IndexNotFoundError
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions
from ragkit.indexing import Field
from ragkit.records import Example
from tests.examples.conftest import EXAMPLES

OPTIONS = SelectorOptions(
    by="jaccard", choice="balanced", candidates=12, order="best_first", exclude_self=False, seed=3
)
WHERE = (Field("output").in_(["lost_card", "change_pin"])) & ~(Field("length") > 30)


@pytest.fixture
def saved(tmp_path):
    with ExamplePool.create(tmp_path / "made" / "pool") as pool:
        pool.add(EXAMPLES)
        selector = DynamicSelector(pool, OPTIONS, WHERE)
        selector.save(tmp_path / "made" / "selector.json")
        return tmp_path / "made" / "selector.json", selector.select("my PIN is lost", 5)


def test_selector_comes_back_and_chooses_the_same(saved):
    file, shots = saved
    selector = DynamicSelector.open(file)
    assert selector.options == OPTIONS
    assert selector.where == WHERE
    assert shots
    assert selector.select("my PIN is lost", 5) == shots
    selector.pool.close()


def test_file_and_pool_are_moved_together(saved, tmp_path):
    file, shots = saved
    shutil.move(file.parent, tmp_path / "elsewhere")
    selector = DynamicSelector.open(tmp_path / "elsewhere" / "selector.json")
    assert selector.select("my PIN is lost", 5) == shots
    selector.pool.close()


@pytest.mark.parametrize("change", ["added", "removed", "other metadata"])
def test_pool_that_changed_is_refused_and_can_be_had_as_it_is(saved, change):
    file, _ = saved
    with ExamplePool.open(file.parent / "pool") as pool:
        if change == "added":
            pool.add([Example("a zebra crossing in town", "street")])
        elif change == "removed":
            pool.remove(EXAMPLES[:1])
        else:
            pool.add([Example(EXAMPLES[0].input, EXAMPLES[0].output, {"lang": "de"})])
        count = len(pool)
        with pytest.raises(ExamplePoolError, match=f"20 examples then and has {count} now"):
            DynamicSelector.open(file)
        assert DynamicSelector.open(file, pool=pool).options == OPTIONS


def test_same_examples_in_another_order_are_the_same_pool(saved):
    file, shots = saved
    shutil.rmtree(file.parent / "pool")
    with ExamplePool.create(file.parent / "pool") as pool:
        for example in reversed(EXAMPLES):
            pool.add([example])
    selector = DynamicSelector.open(file)
    assert {shot.example.input for shot in selector.select("my PIN is lost", 5)} == {s.example.input for s in shots}
    selector.pool.close()


def test_pool_that_is_gone_is_an_error(saved):
    file, _ = saved
    shutil.rmtree(file.parent / "pool")
    with pytest.raises(IndexNotFoundError):
        DynamicSelector.open(file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["options"].update(by="magic"), "magic"),
        (lambda d: d["options"].update(candidates="many"), "candidates"),
        (lambda d: d.update(where={"field": "x"}), "filter"),
        (lambda d: d.update(format="ragkit selector 99"), "ragkit selector 1"),
        (lambda d: d.pop("pool"), "pool"),
    ],
)
def test_file_that_was_changed_is_refused(saved, change, says):
    file, _ = saved
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ExamplePoolError, match=says):
        DynamicSelector.open(file)


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00\xff"])
def test_file_that_holds_no_selector_is_refused(tmp_path, content):
    file = tmp_path / "s.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(ExamplePoolError, match="save"):
        DynamicSelector.open(file)


def test_file_that_is_missing_or_can_not_be_written_is_an_error(tmp_path, pool):
    with pytest.raises(ExamplePoolError, match="can't be read"):
        DynamicSelector.open(tmp_path / "none.json")
    with pytest.raises(ExamplePoolError, match="can't be written"):
        DynamicSelector(pool).save(tmp_path / "no" / "folder.json")
