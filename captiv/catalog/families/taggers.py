"""Booru taggers: they write no sentence, but tags in the words of an image board."""

from captiv.catalog.model import Architecture, Family, ImagePolicy, Mode, Variant
from captiv.catalog.tagging import CAMIE, CAMIE_FILES, LISTED, OFF, PIXAI, TAGGER, WD
from captiv.wire import Generation, Tagging

_MODES = (Mode("default", None, "Tags, the surest first"),)

WD_TAGGER = Family(
    name="wd-tagger",
    title="WD tagger v3 (SmilingWolf)",
    architecture=Architecture(WD, TAGGER, files=LISTED),
    variants=(
        Variant("wd-swinv2-v3", "SmilingWolf/wd-swinv2-tagger-v3", download_bytes=467_000_000),
        Variant("wd-vit-v3", "SmilingWolf/wd-vit-tagger-v3", download_bytes=379_000_000),
        Variant(
            "wd-eva02-large-v3",
            "SmilingWolf/wd-eva02-large-tagger-v3",
            download_bytes=1_260_000_000,
        ),
    ),
    default_variant="wd-swinv2-v3",
    modes=_MODES,
    image=ImagePolicy(448, "long"),
    generation=Generation(),
    # The thresholds with which the author's own demonstration starts.
    tagging=Tagging(thresholds={"general": 0.35, "character": 0.85, "rating": OFF}),
    licence="Apache-2.0",
    note="Tags of Danbooru: 10,861 of them, with the four ratings. The picture is made square with "
    "white.",
)

PIXAI_TAGGER = Family(
    name="pixai-tagger",
    title="PixAI tagger v0.9 (PixAI, as converted by deepghs)",
    architecture=Architecture(PIXAI, TAGGER, files=LISTED),
    variants=(
        Variant("pixai-v0.9", "deepghs/pixai-tagger-v0.9-onnx", download_bytes=1_272_000_000),
    ),
    default_variant="pixai-v0.9",
    modes=_MODES,
    image=ImagePolicy(448, "square"),
    generation=Generation(),
    # The thresholds of PixAI's own handler.
    tagging=Tagging(thresholds={"general": 0.3, "character": 0.85}),
    licence="Apache-2.0",
    note="Tags of Danbooru, with newer characters. The series that a character is from is not "
    "written. The picture is squashed to a square.",
)

CAMIE_TAGGER = Family(
    name="camie-tagger",
    title="Camie tagger v2 (Camais03)",
    architecture=Architecture(CAMIE, TAGGER, files=CAMIE_FILES),
    variants=(Variant("camie-v2", "Camais03/camie-tagger-v2"),),
    default_variant="camie-v2",
    modes=_MODES,
    image=ImagePolicy(512, "long"),
    generation=Generation(),
    # One threshold for all is how its author's tool starts; which categories are written by
    # default is captiv's choice.
    tagging=Tagging(
        thresholds={
            "general": 0.5,
            "character": 0.5,
            "copyright": 0.5,
            "artist": 0.5,
            "meta": OFF,
            "rating": OFF,
            "year": OFF,
        }
    ),
    licence="GPL-3.0",
    note="Tags of Danbooru: 70,527 of them, in seven categories. The picture is made square with "
    "grey.",
)
