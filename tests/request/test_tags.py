"""From tag options and settings to the tags that a run asks for."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from captiv.cli.groups import grouped
from captiv.core.spec import RunSpec
from captiv.errors import UsageError
from captiv.request.options import Options, TagOptions
from captiv.request.run import request
from captiv.settings import Settings
from captiv.wire import Generation, Tagging

CONFIGURED = Settings.model_validate(
    {
        "tags": {"threshold": "general=0.2,year=0.1", "exclude": "solo", "underscores": True},
        "generation": {"num_beams": 4, "retries": 7},
        "system": {"default_torch_dtype": "float16"},
    }
)


def asked(tmp_path: Path, settings: Settings | None = None, **options: Any) -> RunSpec:
    given = {"model": "wd-tagger"} | options
    return request(Options(paths=[tmp_path], **given), settings or Settings())[0]


def test_a_tagger_has_its_authors_thresholds_and_makes_no_tokens(tmp_path: Path) -> None:
    spec = asked(tmp_path)

    assert spec.captioning.tagging == Tagging(
        thresholds={"general": 0.35, "character": 0.85, "rating": 1.0}
    )
    assert (spec.captioning.generation, spec.answers.retries) == (Generation(), 0)


def test_the_settings_hold_for_every_tagger_as_far_as_it_has_the_category(tmp_path: Path) -> None:
    wd = asked(tmp_path, CONFIGURED).captioning
    camie = asked(tmp_path, CONFIGURED, model="camie-tagger").captioning

    assert wd.tagging == Tagging(
        thresholds={"general": 0.2, "character": 0.85, "rating": 1.0},
        exclude=("solo",),
        underscores=True,
    )
    assert camie.tagging is not None
    assert (camie.tagging.thresholds["general"], camie.tagging.thresholds["year"]) == (0.2, 0.1)
    assert (wd.generation, wd.dtype) == (Generation(), "auto")


@pytest.mark.parametrize(
    ("options", "thresholds"),
    [
        ({"every": 0.5}, {"general": 0.5, "character": 0.5, "rating": 1.0}),
        ({"rating": 0.4}, {"general": 0.2, "character": 0.85, "rating": 0.4}),
        ({"every": 0.5, "general": 1.0}, {"general": 1.0, "character": 0.5, "rating": 1.0}),
    ],
)
def test_the_command_goes_before_the_settings(
    tmp_path: Path, options: dict[str, float], thresholds: dict[str, float]
) -> None:
    tagging = asked(
        tmp_path, CONFIGURED, tag_threshold=options, tag_exclude=(), tag_underscores=False
    ).captioning.tagging

    assert tagging == Tagging(thresholds=thresholds)


def test_which_tags_are_written_is_part_of_the_run(tmp_path: Path) -> None:
    plain = asked(tmp_path)
    others = [
        asked(tmp_path, tag_threshold={"general": 0.3}),
        asked(tmp_path, tag_exclude=("solo",)),
        asked(tmp_path, tag_escape=True),
    ]

    assert len({plain.fingerprint(), *(spec.fingerprint() for spec in others)}) == 4
    assert len({plain.generation_digest(), *(s.generation_digest() for s in others)}) == 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "blip", "tag_threshold": {"every": 0.5}}, "--tag-threshold is for taggers"),
        ({"model": "blip", "tag_exclude": ()}, "--tag-exclude is for taggers, and blip is none"),
        ({"model": "blip", "tag_underscores": False}, "--tag-underscores is for taggers"),
        ({"model": "blip", "tag_escape": True}, "--tag-escape is for taggers"),
        ({"tag_threshold": {"year": 0.5}}, "wd-tagger has no tags of the category 'year'"),
        ({"generation": {"num_beams": 3}}, "--num-beams means nothing to it"),
        ({"retries": 2}, "--retries means nothing to it"),
        ({"prompt": "Describe."}, "wd-tagger takes no prompt"),
        ({"dtype": "float16"}, "leave --torch-dtype out"),
        ({"engine": "vllm"}, "does not drive WD tagger"),
    ],
)
def test_what_a_model_cannot_obey_is_refused(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        asked(tmp_path, **options)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0.35", {"every": 0.35}),
        (" general=0.3, character = 1 ", {"general": 0.3, "character": 1.0}),
        ("0.2,rating=0.5", {"every": 0.2, "rating": 0.5}),
        ("general=2", "takes scores from 0 to 1, not '2'"),
        ("general=nan", "takes scores from 0 to 1, not 'nan'"),
        ("much", "takes scores from 0 to 1, not 'much'"),
        ("=0.5", "takes one score, or CATEGORY=SCORE"),
        ("0.5,0.6", "takes one score, or CATEGORY=SCORE"),
    ],
)
def test_a_threshold_is_a_number_or_one_for_each_category(
    text: str, found: dict[str, float] | str
) -> None:
    given: list[TagOptions] = []
    app = typer.Typer()

    @app.command()
    @grouped
    def command(tags: TagOptions) -> None:
        given.append(tags)

    ended = CliRunner().invoke(app, ["--tag-threshold", text])

    if isinstance(found, str):
        assert isinstance(ended.exception, UsageError)
        assert found in ended.exception.message
        with pytest.raises(ValueError, match="threshold"):
            Settings.model_validate({"tags": {"threshold": text}})
    else:
        assert given[0].tag_threshold == found
        assert given[0].tag_exclude is None
        assert Settings.model_validate({"tags": {"threshold": text}}).tags.threshold == text
