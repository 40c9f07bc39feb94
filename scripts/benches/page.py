"""How quickly the page shows 20,000 pictures: `captiv gui launch` in headless Chromium.

The pictures are 200 distinct JPEGs of 160 px and some 4 KB, hard-linked into 20 folders, each with
a caption of 22 words. Each turn has a browser with an empty cache:

- plain: 12 of the same pictures in a bare HTML page from Python's own server, as the baseline;
- first: from opening the link to 12 decoded pictures, and what travelled until then;
- jump: the median of 7 jumps anywhere in the list until every visible picture is decoded;
- filter: from the first key of a word until its one picture is shown, and back to all.

The server's memory is beside that of a bare one: the libraries that any such page stands on, which
answers one request, with no picture and nothing of captiv's.
"""

import argparse
import functools
import http.server
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from PIL import Image, ImageFilter
from playwright.sync_api import Browser, BrowserContext, CDPSession, sync_playwright
from playwright.sync_api import Page as Tab

DISTINCT = 200
FOLDERS = 20
BARE = """
import socket, sqlite3, jinja2, pydantic, starlette.applications, starlette.templating, uvicorn
import PIL.Image, PIL.JpegImagePlugin, PIL.PngImagePlugin, PIL.WebPImagePlugin
from starlette.responses import PlainTextResponse
from starlette.routing import Route
class One(pydantic.BaseModel):
    name: str
app = starlette.applications.Starlette(routes=[Route("/", lambda request: PlainTextResponse("."))])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_config=None, access_log=False, ws="websockets-sansio")
uvicorn.Server(config).run(sockets=[listener])
"""
"""A server of the page's libraries alone."""

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WORDS = "a photograph of some small thing that stands near another one under a wide sky with clouds"

DECODED = """n => {
    const seen = [...document.images].filter(image => {
        const box = image.getBoundingClientRect();
        return image.src && box.width && box.bottom > 0 && box.top < innerHeight;
    });
    const done = seen.filter(image => image.complete && image.naturalWidth).length;
    return n ? done >= n : seen.length > 0 && done === seen.length
        && !document.querySelector('.coming:not([hidden])');
}"""


@dataclass(frozen=True)
class Turn:
    """What one browser saw; seconds and kilobytes."""

    plain_s: float
    first_s: float
    first_kb: float
    jump_s: float
    filter_s: float
    clear_s: float


def main() -> None:
    options = _options()
    chromium = shutil.which("chromium") or sys.exit("Chromium is not installed.")
    with tempfile.TemporaryDirectory(prefix="captiv-bench-") as name:
        pictures = Path(name) / "pictures"
        _draw(pictures, options.images)
        (Path(name) / "empty").mkdir()
        with _served(Path(name), Path(name) / "empty") as (process, link):
            base = _resident_mb(process.pid)
        with _served(Path(name), pictures) as (process, link), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            began = time.perf_counter()
            links = _links(browser, link, options.turns, options.images)
            print(f"folder read {time.perf_counter() - began:.2f} s after the page listened")
            turns = [_turn(browser, link, pictures) for link in links]
            memory = _resident_mb(process.pid)
            browser.close()
    bare = _bare_mb()
    for turn in turns:
        print(_told(turn))
    median = Turn(*map(statistics.median, zip(*map(astuple, turns), strict=True)))
    print(f"median of {len(turns)}: {_told(median)}")
    print(
        f"{options.images} pictures; server {memory:.0f} MB, with an empty folder {base:.0f} MB,"
        f" its libraries alone {bare:.0f} MB; server/libraries {memory / bare:.2f},"
        f" first/plain {_ratio(median):.1f}"
    )


def _draw(folder: Path, images: int) -> None:
    rng = random.Random(5)
    sources = []
    (folder / "folder-00").mkdir(parents=True)
    for number in range(DISTINCT):
        noise = Image.effect_noise((160, 160), 90).filter(ImageFilter.GaussianBlur(2.2))
        colours = [Image.new("L", (160, 160), rng.randrange(256)) for _ in range(2)]
        source = folder.parent / f"{number}.jpg"
        Image.merge("RGB", (noise, *colours)).save(source, quality=75)
        sources.append(source)
    for number in range(images):
        place = folder / f"folder-{number * FOLDERS // images:02}"
        place.mkdir(exist_ok=True)
        os.link(sources[number % DISTINCT], place / f"picture-{number:06}.jpg")
        word = "zebra" if number == images * 2 // 3 else f"number-{number}"
        (place / f"picture-{number:06}.txt").write_text(f"{WORDS} and {word} beyond it all")


@contextmanager
def _served(folder: Path, pictures: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    env = os.environ | {"CAPTIV_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "captiv", "gui", "launch", str(pictures)]
    process = subprocess.Popen(
        [*command, "--no-open", "--port", "0", "--quiet"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _links(browser: Browser, link: str, count: int, images: int) -> list[str]:
    """Return that many links, made by a tab that waits until the folder is read."""
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(link)
    tab.wait_for_function(
        "n => document.getElementById('summary').textContent === `${n} images`",
        arg=f"{images:,}",
        timeout=120_000,
    )
    made = "() => fetch('/api/links', {method: 'POST'}).then(r => r.json()).then(o => o.url)"
    links = [str(tab.evaluate(made)) for _ in range(count)]
    context.close()
    return links


def _turn(browser: Browser, link: str, pictures: Path) -> Turn:
    with _fresh(browser) as context, _plain(pictures) as address:
        plain_s, _ = _opened(context.new_page(), address)
    with _fresh(browser) as context:
        tab = context.new_page()
        traffic = _Traffic(context.new_cdp_session(tab))
        first_s, _ = _opened(tab, link)
        first_kb = traffic.bytes / 1000
        tab.wait_for_selector("html[data-ready]")
        jumps = [_jump(tab, share) for share in (0.5, 0.9, 0.1, 0.7, 0.3, 0.99, 0.6)]
        filter_s = _typed(tab, "zebra", "1 image")
        clear_s = _typed(tab, "", None)
    return Turn(plain_s, first_s, first_kb, statistics.median(jumps), filter_s, clear_s)


class _Traffic:
    """Counts what comes over HTTP, headers included."""

    def __init__(self, session: CDPSession) -> None:
        self.bytes = 0.0
        session.send("Network.enable")
        session.on("Network.loadingFinished", self._add)

    def _add(self, event: dict[str, float]) -> None:
        self.bytes += event["encodedDataLength"]


@contextmanager
def _fresh(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@contextmanager
def _plain(pictures: Path) -> Iterator[str]:
    first = sorted((pictures / "folder-00").glob("*.jpg"))[:12]
    page = "".join(f"<img src='{place.name}'>" for place in first)
    (pictures / "folder-00" / "plain.html").write_text(f"<!doctype html>{page}")
    handler = functools.partial(_Quiet, directory=str(pictures / "folder-00"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/plain.html"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


def _opened(tab: Tab, address: str) -> tuple[float, Tab]:
    began = time.perf_counter()
    tab.goto(address, wait_until="commit")
    tab.wait_for_function(DECODED, arg=12, polling="raf")
    return time.perf_counter() - began, tab


def _jump(tab: Tab, share: float) -> float:
    began = time.perf_counter()
    tab.evaluate(
        "share => { const g = document.getElementById('gallery');"
        " g.scrollTop = share * (g.scrollHeight - g.clientHeight); }",
        share,
    )
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    tab.wait_for_function(DECODED, arg=0, polling="raf")
    return time.perf_counter() - began


def _typed(tab: Tab, text: str, summary: str | None) -> float:
    """Type into the search field; return how long until the pictures of the answer are there."""
    before = tab.locator("#summary").text_content()
    began = time.perf_counter()
    tab.locator("#search").fill(text)
    tab.wait_for_function(
        "([before, now]) => (now ?? before) !== before"
        " ? document.getElementById('summary').textContent === now"
        " : document.getElementById('summary').textContent !== before",
        arg=[before, summary],
        polling="raf",
    )
    tab.wait_for_function(DECODED, arg=0, polling="raf")
    return time.perf_counter() - began


def _bare_mb() -> float:
    """Return the memory of a server that has the page's libraries and nothing else."""
    command = [sys.executable, "-c", BARE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            answer.read()
        memory = _resident_mb(process.pid)
        process.terminate()
    return memory


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(kilobytes) / 1024


def _told(turn: Turn) -> str:
    return ", ".join(f"{f.name} {getattr(turn, f.name):.3g}" for f in fields(turn))


def _ratio(turn: Turn) -> float:
    return turn.first_s / turn.plain_s


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
