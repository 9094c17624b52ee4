"""Other generators of question-answer pairs, run with the same local model behind an OpenAI-compatible endpoint.

Used by ``datagen_questions.py``. Each peer runs in its own environment, in a child process that prints one JSON object
per pair: the number of the passage, the question, and the answer if there is one.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ragkit import Document
from ragkit.errors import RagkitError
from ragkit.models import ChatModel, GenerationOptions, complete
from ragkit.records import Message

_LLAMA_INDEX = """
import json, sys
from llama_index.core.evaluation.dataset_generation import DatasetGenerator
from llama_index.core.schema import TextNode
from llama_index.llms.openai_like import OpenAILike
texts, url = json.load(open(sys.argv[1])), sys.argv[2]
llm = OpenAILike(model="local", api_base=url, api_key="none", is_chat_model=True, max_tokens=160, timeout=600.0)
sys.stdout, out = sys.stderr, sys.stdout
for number, text in enumerate(texts):
    made = DatasetGenerator([TextNode(text=text)], llm=llm, num_questions_per_chunk=1).generate_dataset_from_nodes()
    for key, question in made.queries.items():
        print(json.dumps([number, question, made.responses.get(key, "")]), file=out)
"""
_DATA_KIT = """
import json, os, sys
from pathlib import Path
from synthetic_data_kit.core.create import process_file
from synthetic_data_kit.utils.config import load_config
texts, url, folder = json.load(open(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
config = folder / "config.yaml"
settings = load_config()  # its own prompts
settings["llm"]["provider"] = "api-endpoint"
settings["api-endpoint"] = {
    "api_base": url, "api_key": "none", "model": "local", "max_retries": 1, "retry_delay": 0.1
}
settings["generation"].update(num_pairs=1, max_tokens=400)
config.write_text(json.dumps(settings))
sys.stdout, out = sys.stderr, sys.stdout
for number, text in enumerate(texts):
    source = folder / f"{number}.txt"
    source.write_text(text)
    try:
        made = process_file(str(source), str(folder), config, None, "local", "qa", 1, False, provider="api-endpoint")
        pairs = json.loads(Path(made).read_text())["qa_pairs"]
    except Exception as error:
        print(number, repr(error), file=sys.stderr)
        continue
    for pair in pairs:
        print(json.dumps([number, str(pair.get("question", "")), str(pair.get("answer", ""))]), file=out)
"""
PEERS = {"LlamaIndex, DatasetGenerator": _LLAMA_INDEX, "synthetic-data-kit 0.0.5": _DATA_KIT}


def peer_pairs(
    python: str, model: ChatModel, documents: Sequence[Document]
) -> Iterator[tuple[str, list[tuple[Document, str, str]], float]]:
    """Yield the name of each peer, its pairs, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder, endpoint(model) as url:
        texts = Path(folder) / "texts.json"
        texts.write_text(json.dumps([document.text for document in documents]), encoding="utf-8")
        for number, (name, code) in enumerate(PEERS.items()):
            place = Path(folder) / str(number)
            place.mkdir()
            started = time.monotonic()
            done = subprocess.run(
                [python, "-c", code, str(texts), url, str(place)], capture_output=True, text=True, check=False
            )
            seconds = time.monotonic() - started
            if done.returncode:
                print(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}")
                continue
            pairs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
            yield name, [(documents[at], question, answer) for at, question, answer in pairs], seconds


@contextmanager
def endpoint(model: ChatModel) -> Iterator[str]:
    """Serve a model as an OpenAI-compatible endpoint of this machine, one call at a time, and yield its address."""
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            messages = [Message(one["role"], _text(one["content"])) for one in asked["messages"]]
            options = GenerationOptions(min(int(asked.get("max_tokens") or 256), 512), asked.get("temperature"))
            try:
                with turn:
                    text, status = complete(model, messages, options).text, 200
            except RagkitError as error:
                text, status = str(error), 400
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
            body = {"id": "1", "object": "chat.completion", "created": 0, "model": "local", "choices": [choice]}
            data = json.dumps({**body, "usage": usage}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
