"""A real server with the sample documents, and a real Chromium that looks at its page."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from ragkit import Index
from ragkit.models.base import Delta, GenerationOptions
from ragkit.models.scripted import ScriptedModel

QUOTES = '{"sometimes": false, "collection": "observatory", "mode": "quotes"}'
"""Preferences of a visitor who asks for sentences as they stand: the quickest way, without a model."""
PATIENCE = 60
"""Seconds until what is waited for counts as not coming; a machine with other work is slow."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name of another machine, which is this one.
    "--host-resolver-rules=MAP ragkit.example 127.0.0.1",
]
HOSTILE = (
    "The last bus back leaves at 23:10 [1].\n\n"
    "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">\n\n"
    "![picture](https://elsewhere.example/pixel.png) [a link](javascript:document.title='taken') "
    "<svg onload=\"document.title='taken'\"><iframe src='https://elsewhere.example'></iframe>\n\n"
    "<style>body { display: none }</style> <meta http-equiv=refresh content='0;url=https://elsewhere.example'>\n\n"
    "| table |\n|---|\n| <form action='https://elsewhere.example'><input autofocus "
    "onfocus=\"document.title='taken'\"> |\n"
)
WRITTEN = r"""# The last bus

The last bus back leaves at **23:10** [1]. It leaves from the gate. Unicorns board it with the code `E = m`.

| Bus | Price |
|---|---|
| 47 | 120.00 € |

```python
print("a green unicorn")
```

The energy is \(E = mc^2\), and the way is

$$
\int_0^1 v_1(t)\,dt
= \frac{1}{2}
$$

Tickets cost $5 or $10 each. A broken formula is \(\frac{1\).
"""
ARABIC = "تغادر آخر حافلة عند الساعة 23:10 من البوابة.\n\n- الخط 47\n- الخط 48\n"


class EndlessModel:
    """Says the same words again and again, slowly, until nobody listens."""

    name = "endless"
    window = 100_000

    def __init__(self):
        self.ended = threading.Event()

    def count_tokens(self, messages):
        return sum(len(message.content) for message in messages) // 4

    def stream(self, messages, options=None):
        self.ended.clear()
        try:
            for number in range(100_000):
                time.sleep(0.01)
                yield Delta(f"word{number} is said. ")
        finally:
            self.ended.set()


class HostileModel(ScriptedModel):
    """Says what must not take effect."""

    name = "hostile"


class GatedModel(ScriptedModel):
    """Stops in the middle of the second sentence until it is let on."""

    name = "gated"

    def __init__(self, reply: str) -> None:
        super().__init__(reply, window=100_000)
        self.gate = threading.Event()

    def stream(self, messages, options=GenerationOptions()):
        for delta in super().stream(messages, options):
            if delta.text.strip() == "Unicorns":
                assert self.gate.wait(PATIENCE)
            yield delta


class ArabicModel(ScriptedModel):
    """Answers from right to left."""

    name = "arabic"


@dataclass
class Site:
    """A server that runs."""

    url: str
    endless: EndlessModel
    gated: GatedModel


@contextmanager
def serving(**options) -> Iterator[str]:
    """Run a server in a thread; gives its address."""
    import uvicorn

    from ragkit.serving.app import make_app
    from ragkit.serving.context import ServeOptions

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_app(ServeOptions(**options)), "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def serve():
    """Give what runs another server."""
    return serving


@pytest.fixture(scope="package")
def site(tmp_path_factory, sample_index, smollm2) -> Iterator[Site]:
    """Serve a collection of the sample documents and an empty one, with real and with scripted models."""
    indexes = tmp_path_factory.mktemp("indexes")
    shutil.copytree(sample_index, indexes / "observatory")
    with Index.create(indexes / "empty"):
        pass
    endless = EndlessModel()
    gated = GatedModel(WRITTEN)
    models = (smollm2, endless, HostileModel(HOSTILE, window=100_000), gated, ArabicModel(ARABIC, window=100_000))
    with serving(indexes=indexes, models=models) as url:
        yield Site(url, endless, gated)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Start the browser once."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    expect.set_options(timeout=1000 * PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """What one visitor sees, and everything that their browser said and asked for."""

    page: Page
    context: BrowserContext
    complaints: list[str]
    """Console errors and exceptions."""
    requests: list[str]

    def choose(self, **preferences: str) -> None:
        """Choose the model or way of answering."""
        names = {"model": "Model", "mode": "Answer mode"}
        for key, value in preferences.items():
            self.page.get_by_label(names[key], exact=True).select_option(value)

    def ask(self, question: str) -> None:
        """Write a question and send it."""
        self.page.get_by_label("Question", exact=True).fill(question)
        # While an answer is on its way, the next question stays where it is written.
        expect(self.page.get_by_role("button", name="Send (Enter)")).to_be_enabled()
        self.page.keyboard.press("Enter")

    def answer(self, question: str) -> Locator:
        """Ask, and return the answer when it is whole."""
        answers = self.page.get_by_role("article", name="Answer").and_(self.page.locator("[data-message]"))
        before = answers.count()
        self.ask(question)
        expect(answers).to_have_count(before + 1)
        return answers.last

    def until(self, script: str) -> None:
        """Wait until a script says yes; the page's own policy lets no script wait inside of it."""
        deadline = time.monotonic() + PATIENCE
        while not self.page.evaluate(script):
            assert time.monotonic() < deadline, script
            self.page.wait_for_timeout(20)

    @property
    def panel(self) -> Locator:
        """What stands beside the thread."""
        return self.page.get_by_role("complementary")


@pytest.fixture
def visit(site, chromium):
    """Open the page as a new visitor; afterwards nothing may have gone wrong in the browser or have left the server."""
    opened: list[Visit] = []

    def open_page(path: str = "/", *, preferences: str = QUOTES, **options) -> Visit:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        options.setdefault("reduced_motion", "reduce")
        context = chromium.new_context(base_url=site.url, **options)
        context.set_default_timeout(1000 * PATIENCE)
        context.add_init_script(f"localStorage['ragkit.prefs'] ??= {preferences!r}")
        page = context.new_page()
        found = Visit(page, context, [], [])
        # A policy that was broken is told there, too.
        page.on(
            "console",
            lambda said: (
                said.type in ("error", "warning") and found.complaints.append(f"{said.text} at {said.location['url']}")
            ),
        )
        page.on("pageerror", lambda error: found.complaints.append(str(error)))
        context.on("request", lambda request: found.requests.append(request.url))
        opened.append(found)
        page.goto(path)
        page.get_by_label("Question", exact=True).wait_for()
        return found

    yield open_page
    for each in opened:
        complaints = list(each.complaints)
        # What the browser says of requests that closing it cuts short is no complaint about the page.
        each.context.close()
        assert complaints == []
        assert [url for url in each.requests if not url.startswith((site.url, "blob:", "data:"))] == []
