"""Rented GPUs, seen through a browser: a run to its last cent, a pod to its end, an orphan."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Tab

from captiv.testing.cloud import Cloud
from tests.gui.browser.test_access import violations
from tests.gui.clouds import orphan, rented
from tests.gui.pages import Page
from tests.support import Home

from .conftest import PATIENCE_MS, fresh, hear, ready, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def cloud(home: Home) -> Iterator[Cloud]:
    home.scenes(6, nested=False)
    with rented(home) as opened:
        yield opened


def pods(tab: Tab) -> None:
    tab.locator("#views a", has_text="Pods").click()


def make(tab: Tab) -> None:
    """Make a pod by hand, and wait until it is ready."""
    pods(tab)
    expect(tab.locator("#pods-none")).to_be_visible()
    tab.locator("#pods-create").click()
    tab.locator("#pod-model").select_option("shapes")
    tab.get_by_role("button", name="Make it").click()
    expect(tab.locator(".pod .tag")).to_have_text("ready")


def test_a_run_on_the_simulated_cloud_goes_to_its_end_and_says_what_it_cost(
    home: Home, cloud: Cloud, launch: Callable[..., Page], enter: Callable[..., Tab]
) -> None:
    tab = enter(launch("--runpod"))

    tab.locator("#caption-shown").click()
    tab.locator("#wish-model").select_option("shapes")
    expect(tab.get_by_label("A rented GPU on RunPod")).to_be_checked()
    tab.locator("#wish-cost").fill("2")
    expect(tab.locator("#wish-quote")).to_contain_text("NVIDIA RTX A4000")
    expect(tab.locator("#wish-quote")).to_contain_text("$2.00 by “Cost at most”")
    expect(tab.locator("#wish-start")).to_have_text("Caption 6 images")
    tab.locator("#wish-start").click()
    tab.locator("#views a", has_text="Runs").click()

    expect(tab.locator("#runs .tag")).to_have_text("finished")
    expect(tab.locator("#runs .numbers")).to_contain_text(re.compile(r"\$0\.\d+ on RunPod"))
    tab.locator("#runs summary").click()
    expect(tab.get_by_role("region", name="What run 1 cost")).to_contain_text("NVIDIA RTX A4000")
    assert len(home.captions()) == 6
    assert cloud.pods_alive() == []


def test_a_pod_is_made_its_log_read_and_it_is_terminated(
    cloud: Cloud, launch: Callable[..., Page], enter: Callable[..., Tab]
) -> None:
    tab = enter(launch())
    make(tab)
    (pod,) = cloud.pods_alive()

    tab.get_by_role("button", name=f"Log of pod {pod}").click()
    tab.locator("#pod-log").get_by_label("System").check()
    expect(tab.locator("#pod-log-lines")).to_contain_text("create container")
    tab.locator("#pod-log-close").click()

    tab.get_by_role("button", name=f"Terminate pod {pod}").click()
    expect(tab.locator("#sure-title")).to_contain_text(f"Terminate pod {pod}")
    tab.get_by_role("button", name="No", exact=True).click()
    expect(tab.locator("#sure")).to_be_hidden()
    assert cloud.pods_alive() == [pod]
    tab.get_by_role("button", name=f"Terminate pod {pod}").click()
    heard = hear(tab)
    tab.locator("#sure-yes").click()

    wait_for(tab, lambda: "is gone; it cost $" in heard())
    expect(tab.locator(".pod")).to_have_count(0)
    assert cloud.pods_alive() == []


def test_an_orphan_is_over_every_view_until_it_is_ended(
    home: Home, cloud: Cloud, launch: Callable[..., Page], enter: Callable[..., Tab]
) -> None:
    page = launch()
    page.visitor()
    pod = orphan(home, cloud)
    tab = enter(page)

    expect(tab.locator("#orphan-words")).to_contain_text(f"Pod {pod} bills and nobody needs it")
    pods(tab)
    expect(tab.locator("#orphan")).to_be_visible()
    expect(tab.locator(".pod")).to_contain_text("orphan")
    tab.get_by_role("button", name="End it").click()

    expect(tab.locator("#orphan")).to_be_hidden()
    assert cloud.pods_alive() == []


def test_without_a_key_the_view_says_what_to_do(page: Page, enter: Callable[..., Tab]) -> None:
    tab = enter(page)

    pods(tab)

    expect(tab.locator("#pods-keyless")).to_contain_text("captiv config set runpod.api_key")
    expect(tab.locator("#pods-create")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_pods_their_dialogs_and_the_bar(
    home: Home,
    cloud: Cloud,
    launch: Callable[..., Page],
    browser: Browser,
    scheme: str,
    request: pytest.FixtureRequest,
) -> None:
    page = launch()
    page.visitor()
    pod = orphan(home, cloud)
    context = browser.new_context(
        bypass_csp=True,
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": 640, "height": 400},
    )
    request.addfinalizer(context.close)
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(page.address + "/?token=" + fresh(page))
    ready(tab)
    pods(tab)
    expect(tab.locator("#orphan")).to_be_visible()

    found = {"view": violations(tab)}
    tab.get_by_role("button", name=f"Log of pod {pod}").click()
    expect(tab.locator("#pod-log-lines p").first).to_be_visible()
    found["log"] = violations(tab)
    tab.locator("#pod-log-close").click()
    tab.locator("#pods-create").click()
    found["make"] = violations(tab)
    tab.locator("#pod-make-no").click()
    tab.get_by_role("button", name=f"Terminate pod {pod}").click()
    expect(tab.locator("#sure")).to_be_visible()
    found["sure"] = violations(tab)

    assert found == {"view": [], "log": [], "make": [], "sure": []}
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
