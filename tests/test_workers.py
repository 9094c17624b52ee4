"""Workers that do items at once: order, errors, and processes that end."""

import os

import pytest

from ragkit._workers import LocalWorker, WorkerPool
from ragkit.errors import ModelNotFoundError, ProcessStartError, QueryError, RagkitError

WORK = "tests.work_for_workers:open_counter"


def pool(folder, count=2, **setup):
    setup = {"folder": str(folder), **setup}
    return WorkerPool([LocalWorker(WORK, setup, number, count) for number in range(count)])


def test_results_are_in_order_and_errors_take_the_place_of_results(tmp_path):
    items = [*range(6), "bad", "fault", "once", *range(6, 12)]
    with pool(tmp_path) as workers:
        found = list(workers.map(items))
    assert [one[0] for one in found if isinstance(one, list)] == [*range(6), "once", *range(6, 12)]
    assert isinstance(found[6], QueryError)
    assert (found[6].message, found[6].hint) == ("The item is bad.", "Pass a good one.")
    assert isinstance(found[7], RagkitError)
    assert "KeyError" in found[7].message
    # The worker that was killed was replaced, and did the item again.
    processes = {one[1] for one in found if isinstance(one, list)}
    assert len(processes) == 3
    assert os.getpid() not in processes


def test_item_that_ends_every_process_is_given_up_and_the_others_are_done(tmp_path):
    with pool(tmp_path, 1) as workers:
        first, ended, last = workers.map(["a", "always", "b"])
    assert isinstance(ended, ProcessStartError)
    assert "ended 3 times with the same item: signal SIGKILL" in ended.message
    assert (first[0], last[0]) == ("a", "b")


def test_work_that_cannot_be_opened_is_the_error_of_every_item(tmp_path):
    with pool(tmp_path, 1, missing=True) as workers:
        for found in workers.map(["a", "b"]):
            assert isinstance(found, ModelNotFoundError)
            assert found.hint == "Name another one."


def test_pool_that_is_closed_early_ends_its_processes(tmp_path):
    with pool(tmp_path, 1) as workers:
        ((_, process),) = [next(workers.map(range(100)))]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
