"""What workers are called."""

from captiv.core.sites import name_of
from captiv.core.spec import Site


def url(address: str) -> Site:
    return Site(kind="url", url=address)


def names(*sites: Site) -> list[str]:
    slots = [sites[: at + 1].count(site) for at, site in enumerate(sites)]
    return [name_of(site, sites, slot) for site, slot in zip(sites, slots, strict=True)]


def test_a_worker_is_called_by_its_device_its_host_or_its_number() -> None:
    pod = Site(kind="rented", provider="runpod")

    assert names(Site(device="cuda:0"), url("https://box.example:8000/v1"), pod, pod, Site()) == [
        "cuda:0",
        "box.example",
        "pod 1",
        "pod 2",
        "this machine",
    ]


def test_several_on_one_device_are_numbered() -> None:
    assert names(Site(device="cpu"), Site(device="cpu")) == ["cpu 1", "cpu 2"]


def test_an_address_is_as_long_as_it_takes_to_tell_it_from_others() -> None:
    assert names(
        url("http://a:1"),
        url("http://a:2"),
        url("http://b:3/x"),
        url("http://b:3/y"),
        url("http://c"),
    ) == ["a:1", "a:2", "b:3/x", "b:3/y", "c"]
