"""What the catalog tells of a family: the same on the command line and from a worker."""

from captiv.catalog.model import Family, Mode, Variant
from captiv.wire import ModeInfo, ModelInfo, ModesReply, VariantInfo


def describe(family: Family) -> ModelInfo:
    """Return what `captiv model show` and `GET /api/models` both tell of a family."""
    return ModelInfo(
        name=family.name,
        title=family.title,
        variants=[_variant(family, variant) for variant in family.variants],
        default_variant=family.default_variant,
        modes=list(dict.fromkeys(mode.name for mode in family.modes)),
        default_mode=family.default_mode,
        options=[option.key for option in family.options],
        lengths=list(family.lengths),
        takes_prompt=family.takes_prompt,
        system=family.system,
        generation=family.generation,
        tagging=family.tagging,
        licence=family.licence,
        note=family.note,
    )


def describe_modes(family: Family) -> ModesReply:
    """Return what `captiv model show` and `GET /api/modes/{model}` both tell of a family."""
    return ModesReply(
        model=family.name,
        modes=[_mode(mode) for mode in family.modes],
        default_mode=family.default_mode,
        options={option.key: option.text for option in family.options},
        lengths=list(family.lengths),
        takes_prompt=family.takes_prompt,
    )


def _variant(family: Family, variant: Variant) -> VariantInfo:
    own = family.of(variant)
    return VariantInfo(
        name=variant.name,
        source=variant.source,
        download_bytes=variant.download_bytes,
        vram_gb=dict(variant.vram_gb),
        modes=[mode.name for mode in own.modes],
        takes_prompt=own.takes_prompt,
        generation=own.generation,
        note=variant.note,
    )


def _mode(mode: Mode) -> ModeInfo:
    return ModeInfo(
        name=mode.name,
        prompt=mode.prompt,
        description=mode.description,
        by_count=mode.by_count,
        by_length=mode.by_length,
        trained=mode.trained,
        variants=list(mode.variants),
    )
