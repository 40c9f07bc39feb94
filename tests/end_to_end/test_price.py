"""The price comes first, and the second time it is near: told before anything is rented."""

import json
import re
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import anyio
import pytest

from captiv.core.estimate import Facts
from captiv.rental.estimate import Quote, quoted
from captiv.rental.runpod import RUNPOD
from captiv.request.options import Options
from captiv.request.run import request
from captiv.settings import Settings
from captiv.testing.cloud import Cloud
from tests.cases import sampled
from tests.support import Home, finish, told

from .test_rented import calls, generate, rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

LINE = re.compile(
    r"^Renting NVIDIA RTX A4000 \(16 GB\), community cloud, \$0\.17/h; fetches an image of some "
    r"12 GB; about .+ and \$0\.\d+ for (?P<images>\d+) images?( found so far)?; at most "
    r"\$4\.08 \(24 h; no cap is set\)\.$",
    re.MULTILINE,
)


def test_one_line_says_what_is_expected_before_anything_is_rented(home: Home) -> None:
    home.scenes(6)
    with rented(home) as cloud:
        ended = generate(home)
        log = (home.data / "log" / "captiv.log").read_text()
        created = calls(cloud, "POST")

    assert ended.code == 0, ended
    assert len(LINE.findall(ended.err)) == 1, ended
    assert created == 1
    assert log.index("rental priced run=1 ") < log.index("pod rented pod=")


def test_it_is_said_once_for_several_pods_and_not_with_quiet(home: Home) -> None:
    home.scenes(24)
    with rented(home, engine={"batch_s": 0.1}):
        ended = generate(home, "--pods", "2", "--batch-size", "2", "--max-cost", "0.50")
        home.scenes(4, seed=2)
        quiet = generate(home, "--quiet", "--overwrite")

    assert ended.code == quiet.code == 0, (ended, quiet)
    (line,) = [line for line in ended.err.splitlines() if line.startswith("Renting ")]
    assert line.startswith("Renting 2 pods, each NVIDIA RTX A4000")
    assert line.endswith("at most $0.5000 (--max-cost).")
    assert "Renting" not in quiet.err


def test_who_watches_another_command_s_run_is_told_its_price_once(home: Home) -> None:
    home.scenes(6)
    hold = home.held()
    with rented(home, engine={"hold": str(hold)}):
        first = home.start_generate("--runpod")
        told(first, "Renting ")
        second = home.start_generate("--runpod")
        assert second.stderr is not None
        line = next(line for line in second.stderr if "rents" in line.lower())
        hold.unlink()
        rest, ended = finish(second), finish(first)

    assert rest.code == ended.code == 0, (rest, ended)
    assert line == (
        "Run 1 rents NVIDIA RTX A4000, community cloud, $0.17/h; at most $4.08 (24 h; no cap "
        "is set).\n"
    )
    assert "rent" not in rest.err.lower()


@dataclass(frozen=True)
class Times:
    """What a simulated host takes."""

    pull_s: float
    load_s: float
    image_s: float


def drawn(seed: int) -> Times:
    dice = Random(seed)
    return Times(dice.uniform(4, 8), dice.uniform(3, 6), dice.uniform(0.15, 0.3))


FACTS = Facts(image_bytes=600, pull_bytes_s=100, boot_s=6)
"""Of a host of those; its model has nothing to fetch, and so no time to load by the facts."""
IMAGES_PER_S = 4.5


def at_first(home: Home, cloud: Cloud, images: int) -> Quote:
    """Return what is expected where nothing was measured, by facts that fit these hosts."""
    runpod = {"api_key": cloud.account_key, "api_url": cloud.api_url, "image": "captiv/worker:test"}
    settings = Settings.model_validate({"runpod": runpod})
    spec, choice = request(Options(paths=[home.pictures], model="shapes", runpod=True), settings)
    variant = replace(choice.variant, images_per_s=IMAGES_PER_S)
    quote = partial(quoted, RUNPOD, spec, variant, settings, images, facts=FACTS)
    return anyio.run(quote)


@pytest.mark.parametrize("seed", sampled(1, 2))
def test_estimates_come_near_the_bill_and_nearer_the_second_time(home: Home, seed: int) -> None:
    times, count = drawn(seed), 60
    home.scenes(count)
    engine = {"load_s": times.load_s, "per_image_s": times.image_s}
    with rented(home, engine=engine, pulling_s=times.pull_s) as cloud:
        assumed = at_first(home, cloud, count)
        first = generate(home, "--batch-size", "4")
        dry = generate(home, "--batch-size", "4", "--overwrite", "--dry-run", "--json")
        second = generate(home, "--batch-size", "4", "--overwrite")
        bills = [float(cloud.bill(pod.id)) for pod in cloud.pods()]

    assert first.code == dry.code == second.code == 0, (first, dry, second)
    assert assumed.expected is not None
    assert 0.5 < float(assumed.expected.dollars) / bills[0] < 2, (assumed, bills)
    rental = json.loads(dry.out)["rental"]
    assert (rental["startup"]["measured"], rental["as_run"]) == (True, 1)
    assert float(rental["expected"]["dollars"]) == pytest.approx(bills[1], rel=0.2), (rental, bills)
