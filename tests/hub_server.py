"""A local stand-in for the Hugging Face Hub: its API, file addresses, redirects to a CDN, ranges and error codes."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = 1000
"""Files of this size have an LFS sha256 and are sent by the CDN."""


class HubServer:
    """Serves repositories: ``add("owner/repo", {"config.json": b"{}"})``. ``requests`` logs what was asked."""

    def __init__(self):
        self.repos, self.requests, self.break_after, self.ranges = {}, [], [], True
        self.stalls, self._closed = False, threading.Event()
        self._servers = []
        self.url, self.cdn = self._serve(self._api), self._serve(self._content)

    def add(self, repo, files, *, gated=False, license_id="apache-2.0", tags=(), token=None, sizes=None):
        """Put a repository there; ``token`` is the one that its files need, ``sizes`` claims other sizes."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.repos[repo] = {
            "files": dict(files),
            "gated": gated,
            "tags": [f"license:{license_id}", *tags],
            "token": token,
            "commit": commit,
            "sizes": sizes or {},
        }

    def close(self):
        self._closed.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fetched(self, name):
        """Return the ranges in which a file's bytes were asked for."""
        return [headers.get("Range") for method, path, headers in self.requests if path.endswith(f"/{name}")]

    def _serve(self, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    def _api(self, handler):
        path = unquote(urlsplit(handler.path).path).strip("/")
        words = path.split("/")
        if words[:2] == ["api", "models"]:
            return self._model(handler, "/".join(words[2:4]), words[5] if words[4:5] == ["revision"] else None)
        name, commit, file = "/".join(words[:2]), words[3], "/".join(words[4:])
        repo = self.repos.get(name)
        if repo is None or commit != repo["commit"] or file not in repo["files"]:
            return _send(handler, 404, headers={"X-Error-Code": "EntryNotFound" if repo else "RepoNotFound"})
        if repo["token"] and handler.headers.get("Authorization") != f"Bearer {repo['token']}":
            return _send(handler, 403, headers={"X-Error-Code": "GatedRepo"})
        data = repo["files"][file]
        headers = {"X-Repo-Commit": commit}
        if len(data) < LARGE:
            return _send(handler, 200, data, headers | {"ETag": f'"{git_sha1(data)}"'})
        sha256 = hashlib.sha256(data).hexdigest()
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{sha256}"'}
        return _send(handler, 302, headers=headers | linked | {"Location": f"{self.cdn}/{name}/{file}"})

    def _model(self, handler, name, revision):
        repo = self.repos.get(name)
        if repo is None:  # the real Hub does not say whether a repository is absent or private
            return _send(handler, 401, headers={"X-Error-Code": "RepoNotFound"})
        if revision not in (None, "main", repo["commit"]):
            return _send(handler, 404, headers={"X-Error-Code": "RevisionNotFound"})
        siblings = []
        for file, data in repo["files"].items():
            size = repo["sizes"].get(file, len(data))
            lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 135}
            large = {"lfs": lfs} if size >= LARGE else {}
            siblings.append({"rfilename": file, "size": size, "blobId": git_sha1(data), **large})
        about = {"id": name, "modelId": name, "sha": repo["commit"], "gated": repo["gated"], "tags": repo["tags"]}
        return _send(handler, 200, json.dumps({**about, "siblings": siblings}).encode())

    def _content(self, handler):
        path = unquote(urlsplit(handler.path).path).strip("/")
        self.requests.append((handler.command, f"/{path}", dict(handler.headers)))
        owner, repo, file = path.split("/", 2)
        data = self.repos[f"{owner}/{repo}"]["files"][file]
        asked = handler.headers.get("Range") if self.ranges else None
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        extra = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
        cut = self.break_after.pop(0) if self.break_after else None
        _send(handler, 206 if asked else 200, data[start:], extra, cut)
        if cut is not None and self.stalls:
            handler.wfile.flush()
            self._closed.wait(30)


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _send(handler, status, body=b"", headers=None, cut=None):
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body if cut is None else body[:cut])
    if cut is not None:
        handler.close_connection = True
