"""Forks a writer for each line it reads, so that 200 of them cost no 200 imports; see test_kill.py.

A line is ``<index folder> <seed> <microseconds>``. The child makes random changes and writes what was acknowledged to
``<index folder>.log``, a line before and a line after each change; the server kills it after that time.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from ragkit.indexing import Index
from ragkit.records import Document, document_id
from tests.indexing.hashing import HashingEmbedder

TREES = ["oak", "elm", "ash", "fir", "yew", "box", "may", "tea", "rye", "hop", "fig", "pea"]


def document(name, version):
    words = random.Random(f"{name}-{version}").choices(TREES, k=90)
    text = f"{name} in version {version}.\n\n" + " ".join(words)
    return Document(document_id(name), name, name, text, name, f"{name}-{version}", "text/plain", {"version": version})


def change(path, seed):
    choose = random.Random(seed)
    log = os.open(f"{path}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Index.open(path, embedder=HashingEmbedder(), create=True) as index:
        while True:
            what = choose.choices(["add", "remove", "compact"], [6, 3, 1])[0]
            names = [f"doc{number}" for number in choose.sample(range(12), choose.randint(1, 4))]
            version = choose.randrange(10**6)
            line = f"{what} {version} {' '.join(names)}\n".encode()
            os.write(log, b"begin " + line)
            if what == "add":
                index.add(*[document(name, version) for name in names])
            elif what == "remove":
                index.remove(*names)
            else:
                index.compact()
            os.write(log, b"done " + line)


def main():
    import faiss  # noqa: F401
    import tantivy  # noqa: F401

    for line in sys.stdin:
        path, seed, microseconds = line.split()
        child = os.fork()
        if not child:
            try:
                change(Path(path), int(seed))
            except BaseException as error:
                print(f"failed {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
        time.sleep(int(microseconds) / 1e6)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "failed", flush=True)


if __name__ == "__main__":
    main()
