"""What a pod is to be: what it loads, what its guard is told, and on what terms it is rented."""

import io
import json
import zipfile
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from captiv import __version__
from captiv.catalog.engines import EngineWish
from captiv.core.fleet import Offer, Ranking, candidates, fits
from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.pods import Owner
from captiv.core.spec import Captioning, Placement, RunSpec, Selection
from captiv.rental.carry import cargo
from captiv.rental.podspec import Terms, disk_gb_for, pod_spec, requirement_of, terms_of
from captiv.rental.provider import EndingCall, PodSpec
from captiv.rental.runpod import RUNPOD
from captiv.settings import Settings
from captiv.wire import Generation

OFFER = Offer("NVIDIA RTX A5000", "secure", 24.0, Decimal("0.26"), "high")
ENDING = (
    EndingCall("PUT", "https://cloud.example/${BOX}/end", {"X-Key": "${KEY}"}, "now"),
    EndingCall("DELETE", "https://cloud.example/${BOX}", {"X-Key": "${KEY}"}),
)


NOW_S = 1_790_000_000.4


def terms(
    dtype: str = "auto",
    placement: Placement | None = None,
    model: str = "shapes",
    **runpod: Any,
) -> Terms:
    captioning = Captioning(model=model, variant=model, source="builtin", dtype=dtype)
    spec = RunSpec(
        selection=Selection(roots=("/pictures",)),
        captioning=captioning,
        placement=placement or Placement(kind="rented", provider="runpod"),
    )
    run = Run(RunId(1), RunState.ACTIVE, spec, "", True, 0, None, Counts())
    policy = RUNPOD.policy(Settings.model_validate({"runpod": runpod}))
    return terms_of(run, policy, Owner("runpod", "0123456789ab"))


def asked(of: Terms, deadline_s: int | None = 1_800_000_000) -> PodSpec:
    return pod_spec(
        of, OFFER, "captiv-runpod-0123456789ab-r1-t", "5" * 64, deadline_s, ENDING, NOW_S
    )


def test_the_worker_is_told_where_to_listen_and_what_to_load() -> None:
    spec = asked(terms())

    said = " ".join(spec.arguments)
    assert said.startswith("--host 0.0.0.0 --port 8000 --name captiv-runpod-0123456789ab-r1-t")
    assert "--model shapes --variant shapes --source builtin --dtype auto" in said
    assert spec.port == 8000


@pytest.mark.parametrize(
    ("model_bytes", "disk_gb"),
    [
        (0, 20),
        (990_000_000, 20),
        (9_000_000_000, 20),
        (9_000_000_001, 21),
        (16_980_000_000, 28),
        (31_000_000_000, 42),
        (None, 50),
    ],
)
def test_the_disk_holds_the_model_what_is_installed_and_slack(
    model_bytes: int | None, disk_gb: int
) -> None:
    assert disk_gb_for(model_bytes) == disk_gb


def test_the_pod_is_told_how_much_its_model_downloads() -> None:
    known = terms()
    hub = known.model.model_copy(update={"model": "org/a-model", "variant": None})

    assert asked(known).model_bytes == 0
    assert asked(replace(known, model=hub)).model_bytes is None


def test_a_pod_without_captiv_knows_what_it_waits_for_and_since_when() -> None:
    env = asked(terms("8bit")).env

    assert env["CAPTIV_CARRY_SHA256"] == cargo().sha256
    assert env["CAPTIV_CARRY_EXTRAS"] == "local,quant"
    assert env["CAPTIV_CARRY_BORN"] == "1790000000"
    assert terms().version == f"{__version__}+{cargo().sha256[:12]}"


@pytest.mark.parametrize(
    "settings", [{"image": "captiv/worker:1"}, {"template_id": "t"}, {"bootstrap": "pip"}]
)
def test_a_pod_that_has_or_installs_captiv_waits_for_nothing(settings: dict[str, Any]) -> None:
    assert not [name for name in asked(terms(**settings)).env if name.startswith("CAPTIV_CARRY")]
    assert terms(**settings).version == __version__


def test_an_image_of_ones_own_may_be_brought_the_worker() -> None:
    env = asked(terms(image="mine/torch:1", bootstrap="carry")).env

    assert "CAPTIV_CARRY_SHA256" in env


def joycaption(
    dtype: str = "auto",
    engine: EngineWish = "auto",
    generation: Generation | None = None,
    **runpod: Any,
) -> Terms:
    captioning = Captioning(
        model="joycaption",
        variant="joycaption-beta-one",
        source="hub",
        dtype=dtype,
        generation=generation or Generation(),
    )
    spec = RunSpec(
        selection=Selection(roots=("/pictures",)),
        captioning=captioning,
        placement=Placement(kind="rented", provider="runpod", engine=engine),
    )
    run = Run(RunId(1), RunState.ACTIVE, spec, "", True, 0, None, Counts())
    policy = RUNPOD.policy(Settings.model_validate({"runpod": runpod}))
    return terms_of(run, policy, Owner("runpod", "0123456789ab"))


def test_a_chat_model_has_vllm_and_a_gpu_with_room_for_its_caches() -> None:
    terms = joycaption()

    assert (terms.brought, terms.extras) == ("vllm", ("vllm",))
    assert terms.version.endswith(".vllm"), "a pod with another engine is not used for it"
    assert "--engine vllm" in " ".join(asked(terms).arguments)
    assert fits(24.0, terms.demand)
    assert not fits(20.0, terms.demand), "17.5 GB of weights, and vLLM takes nine tenths"


@pytest.mark.parametrize(
    ("said", "extras"),
    [
        ({"engine": "transformers"}, ("local",)),
        ({"dtype": "8bit"}, ("local", "quant")),
        ({"dtype": "float32"}, ("local",)),
        ({"generation": Generation(num_beams=3)}, ("local",)),
        ({"generation": Generation(no_repeat_ngram_size=3)}, ("local",)),
        ({"image": "mine/torch:1", "bootstrap": "carry"}, ("local",)),
    ],
)
def test_what_vllm_cannot_do_or_its_image_does_not_have_is_done_by_transformers(
    said: dict[str, Any], extras: tuple[str, ...]
) -> None:
    terms = joycaption(**said)

    assert (terms.brought, terms.extras) == ("transformers", extras)


def own_checkpoint(model: str, engine: EngineWish = "auto", **runpod: Any) -> Terms:
    """Return the terms for a checkpoint that the catalog has not."""
    captioning = Captioning(model=model, variant="me/my-tune", source="me/my-tune")
    spec = RunSpec(
        selection=Selection(roots=("/pictures",)),
        captioning=captioning,
        placement=Placement(kind="rented", provider="runpod", engine=engine),
    )
    run = Run(RunId(1), RunState.ACTIVE, spec, "", True, 0, None, Counts())
    policy = RUNPOD.policy(Settings.model_validate({"runpod": runpod}))
    return terms_of(run, policy, Owner("runpod", "0123456789ab"))


@pytest.mark.parametrize("model", ["qwen-vl", "llava"])
def test_a_checkpoint_of_ones_own_has_vllm_only_if_its_whole_family_has(model: str) -> None:
    assert own_checkpoint(model).brought == "transformers", "it may be a Qwen2-VL, or a NeXT"
    assert own_checkpoint(model, "vllm").brought == "vllm", "it was looked at when it was named"
    assert own_checkpoint("joycaption").brought == "vllm"


def test_an_image_of_ones_own_runs_vllm_if_that_is_named() -> None:
    terms = joycaption(engine="vllm", image="mine/vllm:1", bootstrap="carry")

    assert (terms.brought, terms.extras) == ("vllm", ("vllm",))
    assert "--engine vllm" in " ".join(asked(terms).arguments)


def test_the_guard_is_told_its_limits_and_how_to_end_the_pod() -> None:
    env = asked(terms(guard_idle=70, startup_timeout=100)).env

    assert env["CAPTIV_WORKER_TOKEN_SHA256"] == "5" * 64
    assert env["CAPTIV_GUARD_IDLE_S"] == "70"
    assert env["CAPTIV_GUARD_STARTUP_S"] == "500", "twice what captiv waits, and five minutes"
    assert env["CAPTIV_GUARD_DEADLINE"] == "1800000000"
    assert json.loads(env["CAPTIV_GUARD_ENDING"]) == [
        {
            "method": "PUT",
            "url": "https://cloud.example/${BOX}/end",
            "headers": {"X-Key": "${KEY}"},
            "body": "now",
        },
        {
            "method": "DELETE",
            "url": "https://cloud.example/${BOX}",
            "headers": {"X-Key": "${KEY}"},
        },
    ]


def test_without_a_deadline_the_guard_ends_a_pod_that_is_idle_only() -> None:
    assert "CAPTIV_GUARD_DEADLINE" not in asked(terms(), None).env


def test_weights_in_8_bit_need_an_extra_more() -> None:
    assert asked(terms()).extras == ("local",)
    assert asked(terms("8bit")).extras == ("local", "quant")


def test_a_tagger_has_a_pod_of_its_own_without_what_others_need() -> None:
    tagger = terms(model="wd-tagger")

    assert asked(tagger).extras == ("tagger",)
    assert tagger.version == f"{terms().version}.tagger", "no other pod has onnxruntime"
    assert terms(model="wd-tagger", bootstrap="pip").version == f"{__version__}.tagger"


def test_a_tagger_says_that_the_gpu_stays_idle_and_nothing_of_its_memory() -> None:
    of = terms(model="wd-tagger")
    ranking = candidates([OFFER], of.demand, of.policy.wish)

    assert isinstance(ranking, Ranking)
    notes = [note for note in ranking.notes if "default" not in note and "RTX" not in note]
    assert notes == ["Taggers run on the CPU: this GPU stays idle; leave --runpod out."]


def test_a_pod_without_bitsandbytes_is_not_used_for_8_bit() -> None:
    plain, quantised = terms(), terms("8bit")

    assert quantised.version == f"{plain.version}.quant"
    assert terms("4bit", bootstrap="pip").version == f"{__version__}.quant"
    assert terms("8bit", image="captiv/worker:1").version == __version__, "the image has both"
    assert joycaption().version == f"{plain.version}.vllm"


def test_the_lock_of_each_extra_is_carried_for_every_python_of_an_image() -> None:
    names = zipfile.ZipFile(io.BytesIO(cargo().content)).namelist()

    for extra in ("local", "quant", "tagger", "vllm"):
        for version in ("3.11", "3.12", "3.13"):
            assert f"locks/{extra}-{version}.txt" in names


def test_a_gpu_that_was_named_with_the_command_goes_before_the_settings() -> None:
    wish = terms(
        placement=Placement(kind="rented", provider="runpod", gpu_type=" H100 "), cloud="secure"
    ).policy.wish

    assert (wish.gpu_type, wish.named, wish.cloud) == ("H100", "command", "secure")
    assert terms(default_gpu_type="L4").policy.wish.named == "settings"
    assert terms().policy.wish.named == "", "a preference of captiv's"


@pytest.mark.parametrize(
    ("package", "asked_for"),
    [
        (None, f"captiv[local]=={__version__}"),
        ("https://example.org/c.whl", "captiv[local] @ https://example.org/c.whl"),
        ("git+https://example.org/c.git", "captiv[local] @ git+https://example.org/c.git"),
        ("/opt/captiv-1-py3-none-any.whl", "/opt/captiv-1-py3-none-any.whl[local]"),
        ("captiv[local]==0.9", "captiv[local]==0.9"),
        ("captiv[local] @ https://example.org/c.whl", "captiv[local] @ https://example.org/c.whl"),
    ],
)
def test_a_package_is_installed_with_what_captioning_needs(
    package: str | None, asked_for: str
) -> None:
    assert requirement_of(package, ("local",)) == asked_for


def test_a_package_is_installed_with_every_extra() -> None:
    assert requirement_of(None, ("local", "quant")) == f"captiv[local,quant]=={__version__}"
    assert requirement_of("/opt/c.whl", ("local", "quant")) == "/opt/c.whl[local,quant]"
