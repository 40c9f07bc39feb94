"""Pictures of every state of the page, for docs/ and for whoever changes how it looks.

Draws scenes, captions some of them, and goes through the page as a person would:

    scripts/screenshots            # those that docs/page.md shows, into docs/pictures
    scripts/screenshots /tmp/look  # all of them, to be looked at
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import anyio
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as Tab

from captiv.core.jobs import RunId
from captiv.core.pods import pod_name
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import CreatePod, GpuRequest
from captiv.settings import installation_secret
from captiv.testing.cloud import Cloud, running
from captiv.testing.scenes import write_scenes

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-features=HttpsUpgrades",
]
DESK = (1360, 850)
PHONE = (390, 780)
SHARED = "photos.example"

Scheme = Literal["light", "dark"]
Go = Callable[[Tab], None]


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    wanted = SHOTS if len(sys.argv) > 1 else {name: SHOTS[name] for name in KEPT}
    target.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or sys.exit("Chromium is not installed.")
    with tempfile.TemporaryDirectory(prefix="captiv-screens-") as name, running() as cloud:
        pictures = Path(name) / "training set"
        env = os.environ | {"CAPTIV_HOME": str(Path(name) / "home")} | dict(cloud.environment)
        env["CAPTIV_RUNPOD_IMAGE"] = "captiv/worker:latest"
        _prepare(pictures, env)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            with _launched(pictures, env) as link:
                for file, (size, scheme, go) in wanted.items():
                    link = _shoot(browser, link, target / f"{file}.webp", size, scheme, go)
            _orphan(cloud, Path(name) / "home")
            with _launched(pictures, env) as link:
                _shoot(browser, link, target / "pods-orphan.webp", DESK, "light", orphan)
            browser.close()
            with _launched(pictures, env, "--share-url", f"https://{SHARED}") as link:
                rule = f"--host-resolver-rules=MAP {SHARED}:80 127.0.0.1:{urlsplit(link).port}"
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=[*ARGUMENTS, rule]
                )
                tab = browser.new_page(viewport={"width": 900, "height": 560})
                tab.goto(f"http://{SHARED}/")
                tab.get_by_label("Passphrase").fill("lemon orbit tunnel frost")
                _keep(tab, target / "share-door.webp")
                browser.close()


def _orphan(cloud: Cloud, home: Path) -> None:
    """Make a pod of a run that is not there any more, as a crash might leave one."""
    name = pod_name("runpod", installation_secret(home / "data" / "secret.json").id, RunId(77), "t")
    gpu = GpuRequest(id="NVIDIA RTX A5000")

    async def made() -> None:
        async with RunpodApi(cloud.account_key, url=cloud.api_url) as api:
            await api.create(CreatePod(name=name, image="captiv/worker:latest", gpu=gpu))

    # Playwright keeps an event loop of its own in this thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(anyio.run, made).result()


def _prepare(folder: Path, env: dict[str, str]) -> None:
    """Draw scenes, let the built-in model caption them, and leave every fifth without."""
    truth = write_scenes(folder, 7, 140, nested=True)
    (folder / "group" / "zz-damaged.jpg").write_bytes(b"\xff\xd8\xff")
    generate = [sys.executable, "-m", "captiv", "caption", "generate", "--model", "shapes", "-r"]
    subprocess.run([*generate, str(folder)], env=env, capture_output=True, check=False)
    for name in sorted(truth)[2::5]:
        (folder / name).with_suffix(".txt").unlink()


@contextmanager
def _launched(pictures: Path, env: dict[str, str], *options: str) -> Iterator[str]:
    captiv = [sys.executable, "-m", "captiv", "gui", "launch", str(pictures)]
    command = [*captiv, "--no-open", "--port", "0", "--quiet", *options]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _shoot(
    browser: Browser, link: str, file: Path, size: tuple[int, int], scheme: Scheme, go: Go
) -> str:
    """Take one picture; return a link for the next browser."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    tab = context.new_page()
    tab.goto(link)
    tab.wait_for_selector("html[data-ready]")
    tab.wait_for_selector("#connection[data-state=open]")
    tab.wait_for_selector("img.there")
    go(tab)
    _keep(tab, file)
    again = "() => fetch('/api/links', {method: 'POST'}).then(r => r.json()).then(o => o.url)"
    next_link = str(tab.evaluate(again))
    context.close()
    return next_link


def _keep(tab: Tab, file: Path) -> None:
    tab.wait_for_timeout(900)
    with Image.open(BytesIO(tab.screenshot())) as shot:
        shot.save(file, quality=80, method=6)


def gallery(tab: Tab) -> None:
    tab.keyboard.press("ArrowRight")


def selection(tab: Tab) -> None:
    for _ in range(4):
        tab.keyboard.press("Shift+ArrowRight")


def editor(tab: Tab) -> None:
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#editor-facts dt")


def edited(tab: Tab) -> None:
    editor(tab)
    tab.locator("#caption").fill("five crosses in warm colours, scattered over paper")
    tab.keyboard.press("Control+s")
    tab.wait_for_selector("#editor-history .version:nth-child(2)")


def conflict(tab: Tab) -> None:
    editor(tab)
    tab.locator("#caption").fill("what I am typing while somebody else saves")
    write = """async () => {
        const listing = await (await fetch('/api/images?limit=2')).json();
        const image = listing.images[1];
        const body = JSON.stringify({text: 'what the other tab saved', version: image.version});
        const done = await fetch(`/api/images/${image.id}/caption`, {method: 'PUT', body});
        if (!done.ok) throw new Error(await done.text());
    }"""
    tab.evaluate(write)
    tab.wait_for_selector("#editor-conflict blockquote")


def damaged(tab: Tab) -> None:
    tab.locator("#search").fill("damaged")
    tab.wait_for_selector(".card.broken")
    tab.locator("#gallery").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#editor-broken:not([hidden])")


def nothing(tab: Tab) -> None:
    tab.locator("#search").fill("a unicorn")
    tab.wait_for_selector("#empty:not([hidden])")


def keys(tab: Tab) -> None:
    tab.keyboard.press("?")


def folders(tab: Tab) -> None:
    tab.locator("#open-folders").click()


def menu(tab: Tab) -> None:
    tab.locator("#more").click()


def settings(tab: Tab) -> None:
    tab.get_by_role("link", name="Settings").click()
    tab.wait_for_selector(".setting .from")
    tab.locator("#setting-output-extension").scroll_into_view_if_needed()
    tab.locator("#setting-output-extension").fill("caption.txt/")
    tab.locator("#setting-output-extension").press("Enter")
    tab.wait_for_selector("#setting-output-extension-wrong:not([hidden])")


def captioning(tab: Tab) -> None:
    tab.locator("#caption-shown").click()
    tab.locator("#wish-model").select_option("joycaption")
    tab.locator("#wish-options-box summary").click()
    tab.locator("#wish-options input").first.check()
    tab.locator("#wish-variable-character_name-name").fill("Rex")
    tab.locator("#wish-final").get_by_text("Rex").wait_for()
    tab.locator("#wish-final").scroll_into_view_if_needed()


def renting(tab: Tab) -> None:
    tab.locator("#caption-shown").click()
    tab.get_by_label("A rented GPU on RunPod").check()
    tab.locator("#wish-quote .offer").wait_for()
    tab.locator("#wish-quote").scroll_into_view_if_needed()


def trial(tab: Tab) -> None:
    tab.locator("#caption-shown").click()
    tab.locator("#wish-model").select_option("shapes")
    tab.locator("#wish-compare").click()
    tab.locator("#trial-model").select_option("shapes")
    tab.get_by_role("button", name="Try both").click()
    tab.locator("#trial-status").get_by_text("Both are done").wait_for(timeout=90_000)


def runs(tab: Tab) -> None:
    tab.locator("#views a", has_text="Runs").click()
    run = tab.locator(".run", has_text="on RunPod").first
    run.locator(".tag", has_text="finished").wait_for(timeout=90_000)
    run.locator("summary").click()
    run.locator("table").wait_for()


def edits(tab: Tab) -> None:
    tab.locator("#views a", has_text="Bulk edit").click()
    tab.get_by_label("Find", exact=True).fill("circles")
    tab.get_by_label("Replace with").fill("discs")
    tab.get_by_label("Trigger word").fill("ohwx")
    tab.get_by_role("button", name="Show every change").click()
    tab.locator("#changes del").first.wait_for()
    tab.locator("#changes img").first.wait_for()


def rented(tab: Tab) -> None:
    """Have what is left captioned on the simulated cloud, and look at the run."""
    tab.locator("#caption-shown").click()
    tab.locator("#wish-model").select_option("shapes")
    tab.get_by_label("Caption again; keep").check()
    tab.get_by_label("A rented GPU on RunPod").check()
    tab.locator("#wish-quote .offer").wait_for()
    tab.locator("#wish-start:enabled").click()
    tab.locator("#captioning").wait_for(state="hidden")
    runs(tab)
    tab.locator(".notice").wait_for(state="detached")


def pods(tab: Tab) -> None:
    """Make a pod by hand, if there is none, and look at it."""
    tab.locator("#views a", has_text="Pods").click()
    tab.locator("#pods-none, .pod").first.wait_for()
    if not tab.locator(".pod").count():
        tab.locator("#pods-create").click()
        tab.locator("#pod-model").select_option("shapes")
        tab.get_by_role("button", name="Make it").click()
    tab.locator(".pod .tag", has_text="ready").wait_for(timeout=90_000)


def orphan(tab: Tab) -> None:
    tab.locator("#views a", has_text="Pods").click()
    tab.locator("#orphan:not([hidden])").wait_for(timeout=60_000)


SHOTS: dict[str, tuple[tuple[int, int], Scheme, Go]] = {
    "gallery-light": (DESK, "light", gallery),
    "gallery-dark": (DESK, "dark", selection),
    "editor-light": (DESK, "light", edited),
    "editor-dark": (DESK, "dark", editor),
    "editor-conflict": (DESK, "light", conflict),
    "editor-damaged": (DESK, "dark", damaged),
    "gallery-nothing": (DESK, "light", nothing),
    "settings-light": (DESK, "light", settings),
    "settings-dark": (DESK, "dark", settings),
    "settings-phone": (PHONE, "light", settings),
    "keys": (DESK, "light", keys),
    "menu": (DESK, "light", menu),
    "gallery-phone": (PHONE, "light", gallery),
    "folders-phone": (PHONE, "dark", folders),
    "editor-phone": (PHONE, "light", editor),
    "gallery-zoomed": ((DESK[0] // 2, DESK[1] // 2), "light", gallery),
    "editor-zoomed": ((DESK[0] // 2, DESK[1] // 2), "light", editor),
    "caption-light": (DESK, "light", captioning),
    "caption-rented": (DESK, "dark", renting),
    "caption-phone": (PHONE, "dark", captioning),
    "caption-zoomed": ((DESK[0] // 2, DESK[1] // 2), "light", captioning),
    "trial": (DESK, "light", trial),
    "edits-light": (DESK, "light", edits),
    "edits-phone": (PHONE, "dark", edits),
    "runs-light": (DESK, "light", rented),
    "runs-phone": (PHONE, "dark", runs),
    "pods-light": (DESK, "light", pods),
    "pods-phone": (PHONE, "dark", pods),
}

KEPT = (
    "gallery-light",
    "gallery-dark",
    "editor-light",
    "editor-conflict",
    "gallery-phone",
    "caption-light",
    "trial",
    "edits-light",
    "settings-light",
    "runs-light",
    "pods-light",
)


if __name__ == "__main__":
    main()
