"""A model that the catalog does not know, behind somebody's chat server."""

from captiv.catalog.families import FAMILIES
from captiv.catalog.model import CHAT, Architecture, Family, ImagePolicy, Variant
from captiv.catalog.questions import PLAIN
from captiv.catalog.resolve import ModelChoice
from captiv.wire import Generation


def foreign(name: str) -> ModelChoice:
    """Return a model of which nothing is known but that it chats about an image.

    It is asked with one plain prompt, greedily, and sees more of an image than most models do; one
    that sees less shrinks it further.
    """
    variant = Variant(name, name)
    family = Family(
        name=name,
        title="A model that captiv's catalog does not know",
        architecture=Architecture(model_type="", engine=CHAT),
        variants=(variant,),
        default_variant=name,
        modes=(PLAIN,),
        image=ImagePolicy(1024, "long"),
        generation=Generation(
            max_new_tokens=512, min_new_tokens=0, num_beams=1, temperature=0.0, repetition_penalty=1
        ),
        takes_prompt=True,
    )
    return ModelChoice(family, variant)


def sourced(source: str) -> ModelChoice | None:
    """Return what the catalog has from this source, by whole name or the last part; or None."""
    wanted = source.casefold()
    for family in FAMILIES:
        for variant in family.variants:
            known = variant.source.casefold()
            if wanted in (known, known.rpartition("/")[2]):
                return ModelChoice(family.of(variant), variant)
    return None


def variant_from(source: str) -> str | None:
    """Return the name of the variant that has this very source, in capitals or not; or None."""
    wanted = source.casefold()
    return next(
        (v.name for f in FAMILIES for v in f.variants if v.source.casefold() == wanted), None
    )
