"""An endpoint on this machine that speaks OpenAI's chat completions and fails in a way of one's choice.

Each test and benchmark of what happens when models fail runs against it: real connections, really broken. As a process
of its own (``python -m tests.models.fault_server FAULT``) it prints its port and can be killed.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPLY = "The last bus leaves at ten past eleven."
FAULTS = [
    "none",
    "silent",
    "trickle",
    "comments",
    "cut",
    "late cut",
    "429",
    "429 wait",
    "500",
    "malformed",
    "foreign",
    "wrong json",
    "empty",
    "endless",
    "long line",
    "unsupported",
]
"""``silent`` never answers, ``trickle`` sends a word every now and then, ``comments`` sends signs of life and nothing
else, ``cut`` and ``late cut`` break the connection after a word or after most words, ``malformed`` sends an event
that is no JSON, ``foreign`` a web page, ``endless`` a reply without an end, ``long line`` an event without one.
``unsupported`` refuses requests with a parameter that it does not support, as OpenAI's reasoning models do."""


class FaultServer(ThreadingHTTPServer):
    """Fails as its ``fault`` says, which may change from request to request.

    Args:
        fault: one of FAULTS.
        reply: what it says where it says something.
        pause: seconds between the words of ``trickle`` and ``comments``.
        retry_after: what ``429 wait`` asks for.
        unsupported: the parameters that ``unsupported`` refuses, one a request.
    """

    daemon_threads = False  # closing waits for the threads of its connections
    request_queue_size = 64

    def __init__(self, fault="none", reply=REPLY, pause=0.05, retry_after="30", unsupported=()):
        assert fault in FAULTS, fault
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.reply, self.pause, self.retry_after = fault, reply, pause, retry_after
        self.unsupported = unsupported
        self.requests = 0
        self.bodies = []
        self.released = threading.Event()
        self._connections = set()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def process_request(self, request, address):
        self._connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request):
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, address):
        """The client went away, as it may."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.released.set()
        self.shutdown()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        self.server.bodies.append(body)
        self.close_connection = True
        fault = self.server.fault
        # What endpoints say of a refusal may repeat what must not be shown: the key, and the prompt.
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        told = {"error": {"message": f"Key {key} failed on {body['messages'][-1]['content']!r}"}}
        refused = next((name for name in self.server.unsupported if name in body), None)
        if fault == "unsupported" and refused:
            said = f"Unsupported parameter: '{refused}' is not supported with this model."
            told = {"error": {"message": said, "param": refused, "code": "unsupported_parameter"}}
            self._begin(400, "application/json")
            self._chunk(json.dumps(told).encode())
            self._chunk(b"")
        elif fault == "silent":
            self.server.released.wait(60)
        elif fault in ("429", "429 wait", "500"):
            wait = {"Retry-After": self.server.retry_after} if fault == "429 wait" else {}
            self._begin(int(fault[:3]), "application/json", **wait)
            self._chunk(json.dumps(told).encode())
            self._chunk(b"")
        elif fault == "foreign":
            self._begin(200, "text/html")
            self._chunk(b"<html><body>Sign in to the network</body></html>")
            self._chunk(b"")
        else:
            self._begin(200, "text/event-stream")
            self._stream(fault)

    def _stream(self, fault):
        words = self.server.reply.split(" ")
        pieces = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
        if fault == "long line":
            self._chunk(b'data: {"choices": [{"delta": {"content": "')
            while not self.server.released.is_set():
                self._chunk(b"word " * 10_000)
            return
        if fault == "wrong json":
            pieces = ['{"answer"', ": 12", "}"]
        elif fault in ("empty", "comments"):
            pieces = []
        for number, piece in enumerate(pieces):
            if (fault == "cut" and number == 1) or (fault == "late cut" and number == len(pieces) - 1):
                return  # without the end of the chunks: the connection just closes
            if fault == "malformed" and number == 2:
                self._chunk(b'data: {"choices": [{"delta"\n\n')
                return
            self._event(piece)
            if fault == "trickle":
                break
        while fault in ("trickle", "comments", "endless") and not self.server.released.is_set():
            if fault == "comments":
                self._chunk(b": still here\n\n")
            else:
                self._event(" word")
            if fault != "endless":
                self.server.released.wait(self.server.pause)
        self._event("", "stop")
        usage = {"prompt_tokens": 20, "completion_tokens": len(pieces)}
        self._chunk(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode())
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, text, finish=None):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        self._chunk(f"data: {json.dumps({'id': 'x', 'choices': [choice]})}\n\n".encode())

    def _begin(self, status, kind, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        # Said, so that no client sends its next request into a connection that is being closed.
        self.send_header("Connection", "close")
        self.end_headers()

    def _chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *words):
        pass


def closed_port():
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def fault_process(fault):
    """Run the server as a process; yield it and its address. It is killed at the end, where it was not before."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.models.fault_server", fault]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


if __name__ == "__main__":
    with FaultServer(sys.argv[1]) as server:
        print(server.server_port, flush=True)
        while True:
            time.sleep(3600)
