"""A real endpoint on this machine that answers as it is told to, in the right way or in any wrong one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SILENCE = None
"""A body of no bytes, for long."""


def event(text, **more):
    """A piece of a reply, as OpenAI's protocol streams it."""
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}, **more}]})}\n\n".encode()


DONE = b"data: [DONE]\n\n"
GOOD = event("Hel") + event("lo.", finish_reason="stop") + DONE


def said(kind, **fields):
    """An event of Anthropic's protocol."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def said_text(text):
    return said("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def said_end(reason, **usage):
    return said("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 2, **usage}) + said(
        "message_stop"
    )


def said_start(**usage):
    start = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "tiny"}
    return said("message_start", message={**start, "usage": {"input_tokens": 7, "output_tokens": 1, **usage}})


GOOD_MESSAGE = said_start() + said("ping") + said_text("Hel") + said_text("lo.") + said_end("end_turn")


def told(message):
    """The body of a refusal."""
    return json.dumps({"error": {"message": message}}).encode()


def forever(piece, every=0.0):
    """Sends a piece again and again, until the client is gone."""

    def body(server):
        while not server.released.wait(every):
            yield piece

    return body


def then_silence(start):
    """Sends the beginning, and nothing more."""

    def body(server):
        yield start
        server.released.wait(30)

    return body


class Endpoint(ThreadingHTTPServer):
    """Answers from a list of (status, headers, body); the last one stays.

    A body is bytes, SILENCE, or a function of the server that yields bytes.
    """

    daemon_threads = True

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.requests = []
        self.released = threading.Event()
        self.client_gone = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.released.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((headers, json.loads(body) if body else None, self.path))
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if body is SILENCE:
            self.server.released.wait(30)
            return
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in [body] if isinstance(body, bytes) else body(self.server):
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            self.server.client_gone.set()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *words):
        pass
