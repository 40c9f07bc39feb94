import itertools

from hypothesis import given
from hypothesis import strategies as st

from captiv.core.spec import Answers, Captioning, Output, Placement, RunSpec, Selection
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
    output=st.builds(Output, prefix=TEXT, save=st.booleans()),
)


@given(SPECS, st.sampled_from(["local", "url"]))
def test_where_it_runs_is_no_part_of_what_is_asked_for(spec: RunSpec, kind: str) -> None:
    placement = Placement(kind=kind, device="cpu", pods=4, terminate=True)  # type: ignore[arg-type]
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
    assert (one.fingerprint() == two.fingerprint()) == (one == two)


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
        "selection": [{"roots": ("/b",)}, {"recursive": True}, {"overwrite": "yes"}, {"limit": 1}],
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
