import hashlib
import itertools
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from captiv.core.spec import Answers, Captioning, Output, Placement, RunSpec, Selection, Site
from captiv.core.texts import content_hash
from captiv.wire import Generation

TEXT = st.text(max_size=10)
SPECS = st.builds(
    RunSpec,
    selection=st.builds(
        Selection,
        roots=st.tuples(TEXT),
        recursive=st.booleans(),
        overwrite=st.sampled_from(["no", "yes", "all"]),
        limit=st.none() | st.integers(1, 9),
    ),
    captioning=st.builds(
        Captioning,
        model=TEXT,
        variant=TEXT,
        source=TEXT,
        prompt=st.none() | TEXT,
        generation=st.builds(Generation, num_beams=st.none() | st.integers(1, 4)),
    ),
    output=st.builds(Output, prefix=TEXT, save=st.booleans(), one_line=st.booleans()),
)


@given(SPECS, st.sampled_from(["local", "url"]))
def test_where_it_runs_is_no_part_of_what_is_asked_for(spec: RunSpec, kind: str) -> None:
    placement = Placement(
        kind=kind,  # type: ignore[arg-type]
        device="cpu",
        pods=4,
        terminate=True,
        beside=(Site(kind="url", url="https://box"),),
    )
    elsewhere = spec.model_copy(update={"placement": placement})

    assert elsewhere.fingerprint() == spec.fingerprint()


@given(SPECS, st.integers(0, 9), st.booleans())
def test_how_often_an_answer_is_tried_again_is_no_part_of_what_is_asked_for(
    spec: RunSpec, retries: int, limited: bool
) -> None:
    answers = Answers(retries=retries, limited_by_user=limited)

    assert spec.model_copy(update={"answers": answers}).fingerprint() == spec.fingerprint()


@given(SPECS, SPECS)
def test_requests_share_a_fingerprint_only_if_they_ask_for_the_same(
    one: RunSpec, two: RunSpec
) -> None:
    assert (one.fingerprint() == two.fingerprint()) == (_unlimited(one) == _unlimited(two))


def _unlimited(spec: RunSpec) -> RunSpec:
    selection = spec.selection.model_copy(update={"limit": None})
    return spec.model_copy(update={"selection": selection})


@given(SPECS, st.integers(1, 9))
def test_how_much_of_it_is_asked_for_now_is_no_part_of_what_is_asked_for(
    spec: RunSpec, limit: int
) -> None:
    selection = spec.selection.model_copy(update={"limit": limit})

    limited = spec.model_copy(update={"selection": selection})

    assert limited.fingerprint() == spec.fingerprint()


MORE: Any = {"more": (int | None, None), "deeper": (Generation, Generation(seed=7))}
"""Options as a later version may have them: one of no value, and one of several."""


def _with_more(part: BaseModel, **parts: BaseModel) -> Any:
    """The same request in a version whose model of this part has more options."""
    kind = type(part)
    wider = _wider(kind, **{name: type(value) for name, value in parts.items()})
    return wider(**{name: getattr(part, name) for name in kind.model_fields} | parts)


@cache
def _wider(kind: type[BaseModel], **parts: type[BaseModel]) -> Any:
    fields = {name: (model, model.model_construct()) for name, model in parts.items()}
    return create_model(f"Wider{kind.__name__}", __base__=kind, **MORE, **cast("Any", fields))


@given(SPECS)
def test_an_option_that_a_later_version_adds_leaves_the_fingerprint_as_it_was(
    spec: RunSpec,
) -> None:
    generation = _with_more(spec.captioning.generation)
    later = _with_more(
        spec,
        selection=_with_more(spec.selection),
        captioning=_with_more(spec.captioning, generation=generation),
        output=_with_more(spec.output),
    )

    assert "more" in later.captioning.generation.model_dump()
    assert later.fingerprint() == spec.fingerprint()


@given(SPECS, st.sampled_from(["selection", "captioning", "output"]))
def test_an_option_of_a_later_version_counts_where_it_is_used(spec: RunSpec, part: str) -> None:
    wider = _with_more(getattr(spec, part))
    later = _with_more(spec, **{part: wider.model_copy(update={"more": 1})})

    assert later.fingerprint() != spec.fingerprint()


def test_an_option_that_a_later_version_adds_changes_the_key_of_an_answer() -> None:
    """A worker of this version would be asked for something else under the same key."""
    spec = RunSpec(selection=Selection(roots=()), captioning=Captioning(**ASKED))

    later = _with_more(spec, captioning=_with_more(spec.captioning))

    assert later.generation_digest() != spec.generation_digest()


ASKED: Any = {"model": "blip", "variant": "blip-base", "source": "somewhere/blip"}


@pytest.mark.parametrize(
    ("spec", "fingerprint"),
    [
        (
            RunSpec(selection=Selection(roots=("/a",)), captioning=Captioning(**ASKED)),
            "8bc0ef6178cc19a9877483bb78b16ade7e35e761bc81a5bef6f7ad6561fdcd7a",
        ),
        (
            RunSpec(
                selection=Selection(roots=("/b", "/a"), recursive=True, overwrite="yes", limit=9),
                captioning=Captioning(
                    **ASKED,
                    mode="formal",
                    length="short",
                    prompt="Déscribe it.",
                    generation=Generation(num_beams=3, temperature=0.0, repetition_penalty=1.5),
                    dtype="float16",
                ),
                output=Output(
                    save=False, extension=".caption", naming="full", prefix="ohwx, ", suffix="!"
                ),
                placement=Placement(device="cpu", max_cost_usd="2.50", pods=3),
            ),
            "a9d05993d41871e1204a292aaa6472e5073771467006efc7a3f74192113b2584",
        ),
    ],
)
def test_a_fingerprint_is_the_same_for_ever(spec: RunSpec, fingerprint: str) -> None:
    """By another one no unfinished run would be found again."""
    assert spec.fingerprint() == fingerprint


def test_only_what_is_said_is_hashed() -> None:
    said = RunSpec(
        selection=Selection(roots=("/a",), overwrite="no"),
        captioning=Captioning(**ASKED, generation=Generation(seed=None, top_k=5)),
    )
    text = (
        '{"captioning":{"generation":{"top_k":5},"model":"blip","source":"somewhere/blip",'
        '"variant":"blip-base"},"output":{},"selection":{"roots":["/a"]}}'
    )

    assert said.fingerprint() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("limit", "other", "wider"),
    [
        (None, None, False),
        (5, None, False),
        (5, 5, False),
        (5, 6, False),
        (6, 5, True),
        (None, 5, True),
    ],
)
def test_a_higher_limit_or_none_is_wider(limit: int | None, other: int | None, wider: bool) -> None:
    assert Selection(roots=(), limit=limit).wider_than(Selection(roots=(), limit=other)) == wider


@pytest.mark.parametrize(
    ("output", "sidecar"),
    [
        (Output(), "/a/b.txt"),
        (Output(extension=".caption"), "/a/b.caption"),
        (Output(naming="full"), "/a/b.jpg.txt"),
    ],
)
def test_an_output_names_the_sidecar_of_an_image(output: Output, sidecar: str) -> None:
    assert output.sidecar_of("/a/b.jpg") == sidecar
    assert output.place_of("/a/b.jpg") == ("/a/b.jpg", sidecar)


def test_a_run_of_0_2_0_on_runpod_is_read_as_rented_there() -> None:
    row = (
        '{"kind":"runpod","url":null,"protocol":"captiv","insecure":false,"device":"auto",'
        '"batch_size":null,"gpu_type":"NVIDIA L4","max_cost_usd":"2","pods":3,"terminate":true,'
        '"fallback":"wait"}'
    )

    assert Placement.model_validate_json(row) == Placement(
        kind="rented",
        provider="runpod",
        gpu_type="NVIDIA L4",
        max_cost_usd="2",
        pods=3,
        terminate=True,
        fallback="wait",
    )


def test_a_run_goes_on_in_the_quality_that_it_began_with() -> None:
    asked = {
        "selection": Selection(roots=("/a",)),
        "captioning": Captioning(model="blip", variant="blip-base", source="here/blip"),
    }
    low, high = (RunSpec.model_validate({**asked, "image_quality": q}) for q in ("low", "high"))
    row = RunSpec.model_validate(asked).model_dump(mode="json")
    del row["image_quality"]

    assert RunSpec.model_validate(row).image_quality == "high"
    assert RunSpec.model_validate(low.model_dump(mode="json")).image_quality == "low"
    assert low.fingerprint() == high.fingerprint()


def test_a_run_of_an_earlier_version_has_the_one_worker_that_it_names() -> None:
    url = Placement.model_validate_json('{"kind":"url","url":"https://box","protocol":"openai"}')
    here = Placement.model_validate_json('{"kind":"local","url":null,"device":"cuda:1"}')

    assert url.sites == (Site(kind="url", url="https://box", protocol="openai"),)
    assert here.sites == (Site(device="cuda:1"),)


def test_a_placement_is_read_as_it_was_written() -> None:
    placement = Placement(
        kind="rented", provider="runpod", pods=2, beside=(Site(device="cpu"), Site(device="cpu"))
    )

    assert Placement.model_validate_json(placement.model_dump_json()) == placement
    assert placement.workers == 4


def test_at_one_site_the_terms_are_those_of_the_whole_run() -> None:
    box = Site(kind="url", url="https://box")
    placement = Placement(
        kind="rented",
        provider="runpod",
        device="cpu",
        beside=(box, Site(device="cuda:1")),
        max_cost_usd="2",
        batch_size=3,
        insecure=True,
    )

    alone = [placement.at(site) for site in placement.sites]

    assert [(one.kind, one.url, one.provider, one.device) for one in alone] == [
        ("url", "https://box", None, "cpu"),
        ("local", None, None, "cuda:1"),
        ("rented", None, "runpod", "cpu"),
    ]
    assert {(one.max_cost_usd, one.batch_size, one.insecure) for one in alone} == {("2", 3, True)}
    assert [one.sites for one in alone] == [(site,) for site in placement.sites]


@given(SPECS)
def test_a_spec_survives_the_job_table(spec: RunSpec) -> None:
    read = RunSpec.model_validate_json(spec.model_dump_json())

    assert read == spec
    assert read.fingerprint() == spec.fingerprint()
    assert read.generation_digest() == spec.generation_digest()


def test_whatever_is_asked_for_differently_is_another_request() -> None:
    base = RunSpec(
        selection=Selection(roots=("/a",)),
        captioning=Captioning(model="m", variant="v", source="s"),
    )
    parts: dict[str, list[dict[str, object]]] = {
        "selection": [
            {"roots": ("/b",)},
            {"recursive": True},
            {"overwrite": "yes"},
            {"accept_truncated": True},
        ],
        "captioning": [
            {"variant": "w"},
            {"length": "short"},
            {"prompt": "p"},
            {"generation": Generation(seed=1)},
        ],
        "output": [{"prefix": "p"}, {"suffix": "s"}, {"extension": ".c"}, {"naming": "full"}],
    }
    others = [
        base.model_copy(update={part: getattr(base, part).model_copy(update=change)})
        for part, changes in parts.items()
        for change in changes
    ]
    prints = [spec.fingerprint() for spec in (base, *others)]

    assert len(set(prints)) == len(prints)


def test_a_picture_that_is_cut_off_is_asked_for_otherwise_when_it_is_accepted() -> None:
    selection = Selection(roots=("/a",))
    captioning = Captioning(model="m", variant="v", source="s")
    accepting = selection.model_copy(update={"accept_truncated": True})
    elsewhere = selection.model_copy(update={"roots": ("/b",), "retry_failed": True})

    plain, other, same = (
        RunSpec(selection=chosen, captioning=captioning).asked()
        for chosen in (selection, accepting, elsewhere)
    )

    assert plain != other
    assert plain == same


def test_the_key_of_an_answer_changes_with_whatever_changes_the_answer() -> None:
    base = Captioning(model="m", variant="v", source="s")
    others = [
        base.model_copy(update=change)
        for change in (
            {"variant": "w"},
            {"source": "t"},
            {"prompt": "p"},
            {"dtype": "float16"},
            {"generation": Generation(seed=1)},
        )
    ]
    digests = [
        RunSpec(selection=Selection(roots=()), captioning=c).generation_digest()
        for c in (base, *others)
    ]

    assert all(a != b for a, b in itertools.combinations(digests, 2))


@given(st.text())
def test_an_editor_that_only_changes_newlines_has_not_edited(text: str) -> None:
    unified = text.replace("\r\n", "\n").replace("\r", "\n")

    assert content_hash(unified.replace("\n", "\r\n") + "\r\n") == content_hash(text)


LINES = st.text(alphabet=" \t\n\r\x0b\x85\u2028ab.,", max_size=30)


@given(LINES)
def test_one_line_has_the_words_of_the_answer_and_no_other_white_space(answer: str) -> None:
    text = Output(one_line=True).text(answer)

    assert text.split(" ") == (answer.split() or [""])
    assert len(text.splitlines()) <= 1


@given(LINES)
def test_what_a_person_puts_around_an_answer_stays_as_it_is(answer: str) -> None:
    around = Output(one_line=True, prefix="ohwx,  ", suffix="\n")

    assert around.text(answer) == f"ohwx,  {Output(one_line=True).text(answer)}\n"
    assert around.answer_in(around.text(answer)) == Output(one_line=True).text(answer)


@pytest.mark.parametrize("answer", ["one\ntwo", "one\n\ntwo", "one\r\ntwo", "one\u2029two"])
def test_an_answer_of_several_lines_is_cut_short_by_who_reads_one(answer: str) -> None:
    assert Output().cut_short(answer)
    assert not Output(one_line=True).cut_short(answer)
    assert not Output(save=False).cut_short(answer)


@pytest.mark.parametrize("answer", ["", "one", "\none two\n\n"])
def test_an_answer_of_one_line_is_not_cut_short(answer: str) -> None:
    assert not Output().cut_short(answer)
