"""`captiv quote`: a folder's captions priced, by the command, with nothing rented or written."""

import json
from typing import Any

import pytest

from captiv.testing.cloud import Cloud
from tests.serving import started_by_hand
from tests.support import Ended, Home

from .test_rented import calls, generate, rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]


TOKEN = "a-token-of-the-tests"


def quote(home: Home, *arguments: str, model: str = "shapes") -> Ended:
    return home.run("quote", "-r", str(home.pictures), "--model", model, *arguments)


def roads(ended: Ended) -> list[dict[str, Any]]:
    assert ended.code == 0, ended
    found = json.loads(ended.out)["roads"]
    assert isinstance(found, list)
    return found


def nothing_was_done(home: Home, cloud: Cloud) -> None:
    assert home.captions() == {}
    assert calls(cloud, "POST") == 0
    assert home.workers() == []
    assert not (home.data / "data" / "captiv.db").exists()


def test_every_road_is_there_and_nothing_is_done(home: Home) -> None:
    home.scripted().scenes(12)
    home.env["CAPTIV_API_PRICE"] = "0.05"
    home.env["CAPTIV_WORKER_TOKEN"] = TOKEN
    with rented(home) as cloud, started_by_hand(home, TOKEN, "--model", "shapes") as url:
        workers = ("--worker", url, "--worker", "http://127.0.0.1:9")
        found = roads(quote(home, "--json", *workers))
        nothing_was_done(home, cloud)
        (other,) = (
            road
            for road in roads(quote(home, "--json", "--worker", url, model="blip"))
            if road["kind"] == "url"
        )

    by_kind = {road["kind"]: road for road in reversed(found)}
    assert set(by_kind) == {"local", "url", "rented", "api"}
    here = by_kind["local"]
    assert (here["told"], here["dollars"], here["problem"]) == ("measured now", "0.000000", None)
    assert here["images_per_s"] > 0
    assert by_kind["api"]["dollars_per_1000"] == "0.050000"
    assert by_kind["rented"]["seconds"] >= 165
    assert {road["kind"] for road in found[:2]} == {"local", "url"}
    by_url = {road["what"]: road for road in found if road["kind"] == "url"}
    assert (by_url[url]["told"], by_url[url]["dollars"]) == ("measured now", "0.000000")
    assert by_url[url]["images_per_s"] > 0
    nobody = by_url["http://127.0.0.1:9"]
    assert nobody["problem"].startswith(
        "not known: The worker at http://127.0.0.1:9 does not answer"
    )
    assert nobody["dollars"] is None
    assert other["problem"].startswith("not known: The worker serves shapes")


def test_a_person_reads_a_table_and_what_to_think_of(home: Home) -> None:
    home.scripted().scenes(12)
    with rented(home):
        ended = quote(home, "--pods", "3")

    assert ended.code == 0, ended
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert {len(row) for row in rows} == {7}
    assert rows[0][0] == "this machine"
    assert any(row[0].startswith("3 pods, each ") for row in rows)
    assert "captiv config set api.price" in rows[-1][6]
    assert "12 images, shapes:" in ended.err
    assert "Below some 10,000 to 20,000 images a pod is rarely the cheapest" in ended.err


def test_without_a_key_it_says_so_and_is_no_error(home: Home) -> None:
    home.scripted().scenes(3)

    ended = quote(home)

    assert ended.code == 0, ended
    assert "captiv config set runpod.api_key" in ended.out
    assert "this machine\t" in ended.out


def test_a_run_on_a_pod_and_one_here_tell_the_next_quote(home: Home) -> None:
    engine = {"per_image_s": 0.1}
    home.scripted(**engine).scenes(40)
    with rented(home, engine=engine):
        assert generate(home, "--batch-size", "2").code == 0
        assert home.generate("--overwrite").code == 0
        home.scenes(5, seed=3)
        found = roads(quote(home, "--json"))

    told = {road["told"] for road in found if road["what"].startswith("NVIDIA RTX A4000")}
    assert told == {"measured in run 1"}
    assert [road["told"] for road in found if road["kind"] == "local"] == ["measured in run 2"]


def test_a_folder_without_images_and_one_with_captions(home: Home) -> None:
    empty = quote(home)
    home.scripted().scenes(2)
    assert home.generate().code == 0
    done = quote(home)

    assert empty.code == 1, empty
    assert "no image" in empty.err.lower()
    assert done.code == 0, done
    assert "There is no image without a caption." in done.err
    assert done.out == ""
