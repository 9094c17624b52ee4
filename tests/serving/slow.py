"""A model that goes on for as long as someone listens: what is tested is who stops it, not what it says."""

import threading
import time

from ragkit.models.base import Delta
from ragkit.records import Usage


class Endless:
    """Says sentences that are all different, since a reply that repeats itself is stopped.

    It notes who is being answered, and when each stream was closed.
    """

    name = "endless"
    window = 100_000

    def __init__(self, pause=0.01, words=10**9):
        self.pause = pause
        self.words = words
        self.running = 0
        self.most = 0
        self.began = 0
        self.closed = []
        self._lock = threading.Lock()

    def count_tokens(self, messages):
        return sum(len(message.content.split()) for message in messages)

    def stream(self, messages, options=None):
        with self._lock:
            self.running += 1
            self.began += 1
            self.most = max(self.most, self.running)
        try:
            for number in range(self.words):
                time.sleep(self.pause)
                yield Delta(f"word{number} is said. ")
            yield Delta("", None, "stop", Usage(1, self.words, 0, 0.0))
        finally:
            with self._lock:
                self.running -= 1
                self.closed.append(time.perf_counter())
