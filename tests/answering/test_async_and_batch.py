"""Several questions at a time, and answering from an event loop."""

import asyncio
import threading

import pytest

from ragkit.answering import Assistant, Finished, Retrieved
from ragkit.answering.asynchronous import stream_in_thread
from ragkit.errors import QueryError, SettingsError

BUS = "When does the last bus back leave?"
LENS = "What is the focal length of the Meridian 40?"


@pytest.fixture(scope="module")
def assistant(samples):
    return Assistant(samples, model=None)


@pytest.mark.parametrize("max_workers", [1, 3])
def test_batch_gives_the_answers_of_single_questions_in_order(assistant, max_workers):
    questions = [BUS, LENS, BUS]
    answers = assistant.ask_batch(questions, max_workers=max_workers)
    assert [answer.question for answer in answers] == questions
    assert [answer.text for answer in answers] == [assistant.ask(question).text for question in questions]
    assert assistant.ask_batch([]) == []


def test_batch_raises_the_first_error_or_returns_it(assistant):
    with pytest.raises(QueryError):
        assistant.ask_batch([BUS, "  ", LENS])
    first, error, last = assistant.ask_batch([BUS, "  ", LENS], return_errors=True)
    assert isinstance(error, QueryError)
    assert (first.question, last.question) == (BUS, LENS)
    with pytest.raises(SettingsError, match="max_workers must be >= 1, got 0"):
        assistant.ask_batch([BUS], max_workers=0)


def test_async_answers_are_those_of_ask_and_leave_the_loop_free(assistant):
    async def ask():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        answers = await asyncio.gather(assistant.aask(BUS), assistant.aask(LENS))
        ticking.cancel()
        return answers, ticks

    answers, ticks = asyncio.run(ask())
    assert [answer.text for answer in answers] == [assistant.ask(BUS).text, assistant.ask(LENS).text]
    assert ticks > 10


def test_async_stream_yields_the_events_of_stream(assistant):
    async def events():
        return [event async for event in assistant.astream(LENS)]

    found = asyncio.run(events())
    assert [type(event) for event in found] == [type(event) for event in assistant.stream(LENS)]
    assert isinstance(found[0], Retrieved)
    assert isinstance(found[-1], Finished)


def test_async_errors_are_raised_where_the_answer_is_awaited(assistant):
    with pytest.raises(QueryError):
        asyncio.run(assistant.aask(" "))


def test_generator_is_closed_in_its_thread_when_the_consumer_stops_early():
    closed = threading.Event()
    threads = set()

    def numbers():
        try:
            number = 0
            while True:
                threads.add(threading.current_thread())
                yield number
                number += 1
        finally:
            threads.add(threading.current_thread())
            closed.set()

    async def first_two():
        found = []
        stream = stream_in_thread(numbers)
        async for number in stream:
            found.append(number)
            if number == 1:
                break
        await stream.aclose()
        return found

    assert asyncio.run(first_two()) == [0, 1]
    assert closed.wait(10)
    assert len(threads) == 1
    assert threading.main_thread() not in threads
