"""The page behind a real nginx, as its users configure it, in a real Chromium."""

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import expect

from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
TOKEN = "the-owners-token"
NAME = "ragkit.example"
"""A name that is not this machine's: over plain HTTP, browsers send no Sec-Fetch headers to it."""

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian package nginx-light)")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def nginx(folder, locations):
    """Run nginx with a server for each port."""
    servers = "".join(f"server {{ listen 127.0.0.1:{port}; {lines} }}\n" for port, lines in locations.items())
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid;\nevents {{}}\nhttp {{ access_log off;\n{paths}{servers}}}\n"
    )
    log = folder / "error.log"
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", log])
    try:
        deadline = time.monotonic() + 20
        for port in locations:
            with socket.socket() as probe:
                while probe.connect_ex(("127.0.0.1", port)) != 0:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory, sample_index):
    """The page's address in each configuration."""

    def served(**options):
        folder = tmp_path_factory.mktemp("indexes")
        shutil.copytree(sample_index, folder / "observatory")
        return running(ServeOptions(indexes=folder, models=("none",), port=0, **{"token": TOKEN, **options}))

    default, host, stripped, kept, named, opened = ports = [free_port() for _ in range(6)]
    with (
        served() as plain,
        served(root_path="/ragkit") as below,
        served(public_url=f"http://{NAME}:{named}/docs-qa") as public,
        served(token=None) as trusting,
    ):
        ahead = f"proxy_pass http://127.0.0.1:{plain.port}"
        locations = [
            f"location / {{ {ahead}; }}",
            f"location / {{ {ahead}; proxy_set_header Host $host; }}",
            f"location /ragkit/ {{ {ahead}/; }}",
            f"location /ragkit {{ proxy_pass http://127.0.0.1:{below.port}; proxy_set_header Host $http_host; }}",
            f"location /docs-qa/ {{ proxy_pass http://127.0.0.1:{public.port}; }}",
            f"location / {{ proxy_pass http://127.0.0.1:{trusting.port}; }}",
        ]
        with nginx(tmp_path_factory.mktemp("nginx"), dict(zip(ports, locations, strict=True))):
            yield {
                "default": f"http://127.0.0.1:{default}/",
                "host": f"http://127.0.0.1:{host}/",
                "stripped": f"http://127.0.0.1:{stripped}/ragkit/",
                "kept": f"http://127.0.0.1:{kept}/ragkit",
                "named": f"http://{NAME}:{named}/docs-qa/",
                "named elsewhere": f"http://{NAME}:{default}/",
                "open": f"http://127.0.0.1:{opened}/",
                "open, directly": trusting.url,
            }


def log_in(page):
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("way", ["default", "host", "stripped", "kept", "named"])
def test_page_answers_behind_nginx(chromium, proxied, way):
    with chromium.new_context(service_workers="block") as context:
        context.add_init_script('localStorage[\'ragkit.prefs\'] = \'{"sometimes": false, "mode": "quotes"}\'')
        page = context.new_page()
        page.goto(proxied[way])
        log_in(page)
        page.get_by_label("Question", exact=True).fill("What does error E27 mean?")
        page.keyboard.press("Enter")
        answer = page.get_by_role("article", name="Answer").and_(page.locator("[data-message]"))
        answer.locator(".sources button").first.click()
        panel = page.get_by_role("complementary")
        # A picture of a PDF's page, which the browser asks for by itself, with the cookie.
        expect(panel.locator(".quote-mark").first).to_be_in_viewport()
        # Logged in still after a reload; the cookie goes nowhere else on this host.
        page.reload()
        expect(answer).to_have_count(1)
        (cookie,) = context.cookies()
        assert cookie["path"].endswith("/api")


def test_page_that_the_server_does_not_know_as_its_own_says_how_to_fix_it(chromium, proxied):
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(proxied["named elsewhere"])
        log_in(page)
        expect(page.get_by_text("--public-url")).to_be_visible()


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "127.0.0.1"}, {"Origin": "http://127.0.0.1:1"}])
def test_proxy_makes_nobody_the_owner(proxied, headers):
    assert httpx.get(f"{proxied['open, directly']}api/me").json()["owner"]
    refused = httpx.get(f"{proxied['open']}api/me", headers=headers)
    assert refused.status_code in (401, 403)
    assert httpx.post(f"{proxied['open']}api/session", json={"token": "x"}).status_code == 401


def test_head_is_answered_wherever_get_is(proxied):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for way in ("default", "stripped"):
        for path in ("", "health", "page/base.css", "docs", "openapi.json", "api/collections", "metrics"):
            got, head = (
                httpx.request(method, proxied[way] + path, headers=headers, timeout=60) for method in ("GET", "HEAD")
            )
            assert (head.status_code, head.content) == (got.status_code, b"") == (200, b"")
            assert head.headers["content-type"] == got.headers["content-type"]
    assert httpx.head(f"{proxied['default']}nope").status_code == 404
