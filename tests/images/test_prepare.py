import io
import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageFile, ImageStat, JpegImagePlugin

from captiv.catalog.model import ImagePolicy, ImageQuality
from captiv.errors import ImageError, ImageMissing, ImageTooLarge, ImageUnreadable
from captiv.images import prepare as module
from captiv.images.budget import DECODED, Budget
from captiv.images.encode import SMALL_BYTES
from captiv.images.prepare import Prepared, decode, fitted, prepare

SMALL = ImagePolicy(64)
Colour = int | tuple[int, int, int]
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)

posix = pytest.mark.skipif(sys.platform == "win32", reason="files that Windows lacks")


def scene(width: int, height: int) -> Image.Image:
    """A smooth picture in which each corner has its own colour."""
    corners = Image.frombytes(
        "RGB", (2, 2), bytes([230, 30, 30, 30, 220, 40, 40, 40, 230, 240, 230, 50])
    )
    picture = corners.resize((width, height), Image.Resampling.BICUBIC)
    ImageDraw.Draw(picture).ellipse((width * 0.1, height * 0.2, width * 0.4, height * 0.5), "black")
    return picture


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def difference(a: Image.Image, b: Image.Image) -> float:
    """Mean difference of the samples, in levels of 255."""
    assert (a.size, a.mode) == (b.size, b.mode)
    return max(ImageStat.Stat(ImageChops.difference(a, b)).mean)


def pixel(image: Image.Image, at: tuple[int, int]) -> tuple[int, ...]:
    samples = image.getpixel(at)
    assert isinstance(samples, tuple), f"{image.mode} has one sample a pixel"
    return samples


def oriented(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


UNDO = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip
"""What a camera that stores this orientation did to the upright picture."""


def as_stored(upright: Image.Image, turn: int) -> Image.Image:
    undo = UNDO[turn]
    return upright if undo is None else upright.transpose(undo)


# --- size ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "policy", "expected"),
    [
        ((4000, 3000), ImagePolicy(384), (512, 384)),
        ((3000, 4000), ImagePolicy(384), (384, 512)),
        ((4000, 3000), ImagePolicy(384, "long"), (384, 288)),
        ((383, 5000), ImagePolicy(384), (383, 5000)),
        ((300, 200), ImagePolicy(384, "long"), (300, 200)),
        ((384, 384), ImagePolicy(384), (384, 384)),
        ((20000, 10), ImagePolicy(384), (6144, 10)),
        ((20000, 1000), ImagePolicy(384), (6144, 384)),
        ((1, 1), ImagePolicy(384), (1, 1)),
        ((20000, 10), ImagePolicy(384, "long"), (384, 1)),
        ((4000, 3000), ImagePolicy(1152, "area"), (1330, 998)),
        ((9000, 1000), ImagePolicy(1152, "area"), (3456, 384)),
        ((1000, 800), ImagePolicy(1152, "area"), (1000, 800)),
        ((4000, 3000), ImagePolicy(384, "square"), (384, 384)),
        ((1000, 300), ImagePolicy(384, "square"), (384, 300)),
        ((300, 200), ImagePolicy(384, "square"), (300, 200)),
    ],
)
def test_pictures_shrink_by_their_policy_and_never_grow(
    size: tuple[int, int], policy: ImagePolicy, expected: tuple[int, int]
) -> None:
    assert fitted(size, policy) == expected
    assert fitted(size[::-1], policy) == expected[::-1]


def test_a_panorama_keeps_the_short_edge_that_the_model_sees() -> None:
    prepared = prepare(encoded(scene(2970, 882), "JPEG"), ImagePolicy(384))
    assert (prepared.width_px, prepared.height_px) == (1293, 384)


@pytest.mark.parametrize("policy", [ImagePolicy(384, "square"), ImagePolicy(512, "area")])
def test_a_better_quality_has_more_bytes_and_is_nearer_to_the_picture(policy: ImagePolicy) -> None:
    noisy = ImageChops.add(scene(900, 700), Image.effect_noise((900, 700), 40).convert("RGB"), 2)
    data = encoded(noisy, "PNG")
    right = decode(data, policy=policy)
    qualities: tuple[ImageQuality, ...] = ("low", "standard", "high")
    sent = [prepare(data, policy, quality=quality).data for quality in qualities]

    apart = [difference(opened(each), right) for each in sent]
    assert [len(each) for each in sent] == sorted(len(each) for each in sent)
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > 1.5 * apart[2]
    assert prepare(data, policy).data == sent[1]


def test_a_strip_is_squashed_along_its_length_only() -> None:
    prepared = prepare(encoded(scene(3000, 10), "PNG"), SMALL)
    assert opened(prepared.data).size == (1024, 10) == (prepared.width_px, prepared.height_px)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_a_shrunk_picture_looks_like_the_one_on_disk(kind: str) -> None:
    source = scene(901, 700)
    how = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    how |= {"speed": 10} if kind == "AVIF" else {}
    shown = opened(prepare(encoded(source, kind, **how), SMALL).data)
    assert difference(shown, source.resize((82, 64), Image.Resampling.LANCZOS)) < 1.5


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("JPEG", (131, 90)),
        ("JPEG", (1103, 803)),
        ("PNG", (331, 250)),
        ("TIFF", (331, 250)),
        ("WEBP", (331, 250)),
    ],
)
def test_every_orientation_comes_out_as_if_it_had_been_turned_first(
    kind: str, size: tuple[int, int], turn: int
) -> None:
    upright = scene(*size)
    how = {"quality": 97} if kind in ("JPEG", "WEBP") else {}
    stored = encoded(as_stored(upright, turn), kind, exif=oriented(turn), **how)
    shown = opened(prepare(stored, SMALL).data)
    assert shown.getexif().get(0x0112, 1) == 1
    assert difference(shown, upright.resize(fitted(size, SMALL), Image.Resampling.LANCZOS)) < 2


def test_orientation_in_avif_is_honoured() -> None:
    upright = scene(160, 100)
    stored = encoded(as_stored(upright, 6), "AVIF", exif=oriented(6), quality=95)
    assert difference(decode(stored), upright) < 3


def test_damaged_exif_is_not_the_pictures_fault_and_is_not_spoken_of(tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40
    (tmp_path / "a.jpg").write_bytes(encoded(scene(80, 60), "JPEG", quality=97, exif=exif))
    # In a process of its own, because here every warning is an error.
    done = subprocess.run(
        [sys.executable, "-c", SHOW, str(tmp_path / "a.jpg"), str(tmp_path / "a.png")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert difference(Image.open(tmp_path / "a.png"), scene(80, 60)) < 2


SHOW = """
import sys, pathlib
from captiv.images.prepare import decode
decode(pathlib.Path(sys.argv[1]).read_bytes()).save(sys.argv[2])
"""


def test_the_decoders_own_reduction_is_close_to_a_full_decode() -> None:
    source = scene(1600, 1200)
    data = encoded(source, "JPEG", quality=95)
    full = opened(data).resize((85, 64), Image.Resampling.LANCZOS)
    assert difference(decode(data, policy=SMALL), full) < 0.5
    image = opened(data)
    assert isinstance(image, ImageFile.ImageFile)
    module._reduce(image, (300, 225))
    assert image.size == (800, 600)  # no less than twice the target; a quarter would be 400 x 300


# --- colour -------------------------------------------------------------------------------------


def ramp(mode: str, values: list[float]) -> Image.Image:
    """A strip of vertical bars, one for each value."""
    image = Image.new(mode, (len(values) * 8, 8))
    for at, value in enumerate(values):
        image.paste(value, (at * 8, 0, at * 8 + 8, 8))
    return image


def levels(image: Image.Image) -> list[int]:
    assert image.mode == "RGB"
    pixels = [pixel(image, (x, 4)) for x in range(4, image.width, 8)]
    assert all(max(p) == min(p) for p in pixels)
    return [p[0] for p in pixels]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    samples = struct.pack("<6H", 0, 257, 25700, 32768, 65278, 65535)
    image = Image.frombytes("I;16", (6, 1), samples).resize((48, 8), Image.Resampling.NEAREST)
    assert levels(decode(encoded(image, kind))) == [0, 1, 100, 128, 254, 255]


def test_sixteen_bits_of_the_other_byte_order_are_the_same() -> None:
    strip = struct.pack(">4H", 0, 25700, 51400, 65535)
    assert levels(decode(tiff(">", 4, 1, 16, strip)).resize((32, 8), 0)) == [0, 100, 200, 255]


def test_twelve_bits_are_scaled_by_their_own_range() -> None:
    # 4 samples of 12 bits: 0, 1638, 3276, 4095
    strip = bytes.fromhex("000666") + bytes.fromhex("CCCFFF")
    assert levels(decode(tiff("<", 4, 1, 12, strip)).resize((32, 8), 0)) == [0, 102, 204, 255]


def tiff(order: str, width: int, height: int, bits: int, strip: bytes) -> bytes:
    """A grey TIFF with one strip."""
    tags = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(strip)),
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(strip))
    ifd = struct.pack(order + "H", len(tags))
    for tag, value in tags:
        ifd += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
    return head + strip + ifd + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 100, 255], [0, 100, 255]),
        ([0, 25700, 65535], [0, 100, 255]),
        ([-1000, 0, 1000], [0, 128, 255]),
        ([0, 5_000_000, 10_000_000], [0, 128, 255]),
        ([70_000, 70_000], [0, 0]),
    ],
)
def test_integers_are_scaled_by_the_range_that_holds_them(
    values: list[float], expected: list[int]
) -> None:
    assert levels(decode(encoded(ramp("I", values), "TIFF"))) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-3.0, 0.0, 3.0], [0, 128, 255]),
        ([7.0, 7.0], [0, 0]),
        ([0.0, 0.5, float("inf")], [0, 128, 255]),
        ([float("nan"), 0.5, 1.0], [0, 128, 255]),
    ],
)
def test_floats_are_stretched_and_infinities_survive(
    values: list[float], expected: list[int]
) -> None:
    assert levels(decode(encoded(ramp("F", values), "TIFF"))) == expected


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_shown_as_a_negative(kind: str) -> None:
    picture = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    shown = pixel(decode(encoded(picture, kind)), (32, 32))
    assert max(abs(a - b) for a, b in zip(shown, RED, strict=True)) < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB", "L", "1"])
def test_what_is_transparent_is_white(mode: str) -> None:
    if mode in ("RGBA", "PA", "P"):
        picture = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
        picture.paste((0, 0, 0, 255), (32, 0, 64, 32))
        if mode == "P":
            picture = picture.quantize(4)
        data = encoded(picture, "PNG" if mode != "PA" else "GIF")
    elif mode == "LA":
        picture = Image.new("LA", (64, 32), (0, 0))
        picture.paste((0, 255), (32, 0, 64, 32))
        data = encoded(picture, "PNG")
    else:
        greys: dict[str, Colour] = {"RGB": (9, 9, 9), "L": 9, "1": 1}
        blacks: dict[str, Colour] = {"RGB": (0, 0, 0), "L": 0, "1": 0}
        hidden = greys[mode]
        picture = Image.new(mode, (64, 32), hidden)
        picture.paste(blacks[mode], (32, 0, 64, 32))
        data = encoded(picture, "PNG", transparency=hidden)
    shown = decode(data)
    assert shown.mode == "RGB"
    assert [shown.getpixel((x, 16)) for x in (8, 56)] == [WHITE, (0, 0, 0)]


def test_half_transparent_edges_are_blended_before_they_are_shrunk() -> None:
    picture = Image.new("RGBA", (640, 640), (255, 0, 0, 128))
    shown = decode(encoded(picture, "PNG"), policy=SMALL)
    assert shown.getpixel((30, 30)) == (255, 127, 127)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "YCbCr", "LAB", "RGBa", "RGBX"])
def test_every_mode_of_a_tiff_becomes_rgb(mode: str) -> None:
    source = scene(40, 30)
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(source, srgb, lab, outputMode="LAB")
        assert converted is not None, "None is for a conversion in place"
        stored = converted
    elif mode == "RGBa":
        stored = source.convert("RGBA").convert("RGBa")
    else:
        stored = source.convert(mode)
    how = {"compression": "jpeg", "quality": 97} if mode == "YCbCr" else {}
    kind = "TIFF" if mode != "RGBa" else "PNG"
    shown = decode(encoded(stored if kind == "TIFF" else stored.convert("RGBA"), kind, **how))
    expected = stored.convert("RGB") if mode not in ("LAB", "RGBa") else source
    assert difference(shown, expected) < 4


def wide_profile() -> bytes:
    """A real profile that is far from sRGB: sRGB with its red and blue primaries exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    tags = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_embedded_profile_is_converted_to_srgb(kind: str) -> None:
    how = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    data = encoded(Image.new("RGB", (300, 300), RED), kind, icc_profile=wide_profile(), **how)
    prepared = prepare(data, ImagePolicy(400))
    shown = opened(prepared.data).convert("RGB")
    assert prepared.data != data
    assert "icc_profile" not in shown.info
    assert max(abs(a - b) for a, b in zip(pixel(shown, (5, 5)), BLUE, strict=True)) < 6


@pytest.mark.parametrize(
    "profile",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        b"no profile at all",
        wide_profile()[:200],
    ],
    ids=["sRGB", "of another mode", "no profile", "cut off"],
)
def test_a_profile_that_changes_nothing_or_is_damaged_is_ignored(profile: bytes) -> None:
    data = encoded(Image.new("RGB", (300, 300), RED), "JPEG", icc_profile=profile)
    sent = prepare(data, ImagePolicy(400)).data
    assert profile[:200] not in sent
    assert len(data) - len(sent) >= len(profile), "it was encoded anew"
    assert opened(sent).tobytes() == opened(data).tobytes()


# --- encoding -----------------------------------------------------------------------------------


def test_a_jpeg_that_needs_no_change_passes_through() -> None:
    data = encoded(scene(100, 60), "JPEG", quality=70)
    assert prepare(data, ImagePolicy(60)) == Prepared(data, "image/jpeg", 100, 60, (100, 60))
    assert prepare(data + b"behind", ImagePolicy(60)).data == data
    assert prepare(data, ImagePolicy(59)).data != data


def test_a_jpeg_that_ends_early_does_not_pass_through() -> None:
    data = encoded(scene(100, 60), "JPEG")
    with pytest.raises(ImageUnreadable, match="truncated"):
        prepare(data[:-200], ImagePolicy(384))


def test_a_small_jpeg_with_much_behind_it_does_not_travel_whole() -> None:
    data = encoded(scene(100, 60), "JPEG") + b"\0" * 1_000_000
    prepared = prepare(data, ImagePolicy(384))
    assert len(prepared.data) < 20_000


def test_a_phones_jpeg_of_several_frames_shows_the_first() -> None:
    data = encoded(
        scene(90, 60), "MPO", save_all=True, append_images=[Image.new("RGB", (90, 60))], quality=95
    )
    assert difference(decode(data), scene(90, 60)) < 3


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_small_drawing_is_not_blurred(kind: str) -> None:
    drawing = Image.new("RGB", (256, 200), WHITE)
    ImageDraw.Draw(drawing).line((0, 0, 255, 199), RED)
    how = {"lossless": True} if kind == "WEBP" else {}
    prepared = prepare(encoded(drawing, kind, **how), ImagePolicy(384))
    assert prepared.media_type == "image/png"
    assert difference(opened(prepared.data).convert("RGB"), drawing) == 0


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG"])
@pytest.mark.parametrize("size", [(90, 60), (300, 200), (1200, 900)])
@pytest.mark.parametrize("what", ["plain", "noise"])
def test_nothing_is_sent_larger_than_the_file_that_came(
    kind: str, size: tuple[int, int], what: str
) -> None:
    picture = Image.new("RGB", size, RED)
    ImageDraw.Draw(picture).ellipse((20, 20, 60, 50), BLUE)
    if what == "noise":
        picture = Image.effect_noise(size, 60).convert("RGB")
    how = {"quality": 20} if kind in ("WEBP", "AVIF", "JPEG") else {}
    data = encoded(picture, kind, **how)

    prepared = prepare(data, ImagePolicy(384))

    assert len(prepared.data) <= max(len(data), SMALL_BYTES)
    assert (
        difference(opened(prepared.data).convert("RGB"), decode(data, policy=ImagePolicy(384))) < 40
    )


@pytest.mark.parametrize(
    ("kind", "size", "how"),
    [
        ("PNG", (257, 256), {}),
        ("TIFF", (90, 90), {"compression": "jpeg", "quality": 98}),
    ],
)
def test_photographs_travel_as_jpeg_with_whole_colour(
    kind: str, size: tuple[int, int], how: dict[str, str]
) -> None:
    prepared = prepare(encoded(scene(*size), kind, **how), ImagePolicy(384))
    image = opened(prepared.data)
    assert prepared.media_type == "image/jpeg"
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    assert image.format == "JPEG"
    assert [factors[1:3] for factors in image.layer] == [(1, 1)] * 3


def test_metadata_does_not_travel_with_what_is_encoded_anew() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera of somebody"
    about = {"exif": exif.tobytes(), "comment": b"of somebody", "dpi": (300, 300)}
    photo = prepare(encoded(scene(400, 300), "JPEG", **about), SMALL)
    drawing = prepare(encoded(scene(40, 30), "PNG", exif=exif.tobytes()), SMALL)
    for prepared in (photo, drawing):
        assert b"somebody" not in prepared.data
        assert not opened(prepared.data).getexif()


def test_what_was_prepared_is_shown_as_it_is() -> None:
    prepared = prepare(encoded(scene(901, 700), "JPEG"), SMALL)
    assert difference(decode(prepared.data), opened(prepared.data)) == 0
    again = prepare(prepared.data, SMALL)
    assert again == replace(prepared, whole_px=(again.width_px, again.height_px))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_of_an_animation_the_first_frame_is_shown(kind: str) -> None:
    frames = [Image.new("RGB", (80, 60), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert max(abs(a - b) for a, b in zip(pixel(decode(data), (9, 9)), RED, strict=True)) < 5


# --- what is no picture -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\0" * 5000, "the file holds nothing but zero bytes"),
        (b"a caption\n", "the file is text, not an image"),
        ("légende".encode("latin-1"), "the file is text, not an image"),
        (b"\xef\xbb\xbf <!DOCTYPE html><title>404", "the file is a web page, not an image"),
        (b'<?xml version="1.0"?>\n<svg xmlns=""/>', "the file is an SVG drawing"),
        (b"version https://git-lfs.github.com/spec/v1\n", "the file is a Git LFS pointer"),
        (b"%PDF-1.7\n", "the file is a PDF document"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "the file is (a damaged HEIC picture|truncated)"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "the file is a film"),
        (b"GIF89a\1\0\1\0\0\0\0;", "the file is a GIF with no frame"),
        (b"GIF89a", "the file is a damaged GIF picture|the file is truncated"),
        (b"\x01\x02\x03\x04" * 9, "the file is no image of a kind that captiv knows"),
        (b"\xff\xd8\xff", "the file is (a damaged JPEG picture|truncated)"),
        (b"\x89PNG\r\n\x1a\n", "the file is (a damaged PNG picture|truncated)"),
        (b"RIFF\0\0\0\0WEBP", "the file is (a damaged WebP picture|truncated)"),
        (b"BM", "the file is (a damaged BMP picture|truncated)"),
        (b"II*\0", "the file is (a damaged TIFF picture|truncated)"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "the file is (a damaged AVIF picture|truncated)"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, sentence: str) -> None:
    with pytest.raises(ImageUnreadable, match=f"^{sentence}"):
        decode(data)


def test_the_kind_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "really.png").write_bytes(encoded(scene(90, 60), "JPEG"))
    assert prepare(tmp_path / "really.png", SMALL).media_type == "image/jpeg"


def test_kinds_that_captiv_does_not_know_are_never_decoded() -> None:
    with pytest.raises(ImageUnreadable, match="kind that captiv knows"):
        decode(encoded(scene(8, 8), "PPM"))


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jpg", str(tmp_path / "gone" / "x.jpg")):
        with pytest.raises(ImageMissing, match="gone"):
            prepare(path, SMALL)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        prepare(tmp_path, SMALL)


@posix
@pytest.mark.timeout(60)
def test_a_fifo_never_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ImageUnreadable, match="is a FIFO, not an image"):
        prepare(tmp_path / "a.jpg", SMALL)
    silent_writer = os.open(tmp_path / "a.jpg", os.O_RDWR | os.O_NONBLOCK)
    with pytest.raises(ImageUnreadable, match="is a FIFO, not an image"):
        prepare(tmp_path / "a.jpg", SMALL)
    os.close(silent_writer)


@posix
def test_devices_are_no_images() -> None:
    with pytest.raises(ImageUnreadable, match="is a device, not an image"):
        prepare("/dev/zero", SMALL)


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "a.jpg", "wb") as file:
        file.truncate(module.MAX_FILE_BYTES + 1)
    with pytest.raises(ImageTooLarge, match="captiv opens up to 512 MB"):
        prepare(tmp_path / "a.jpg", SMALL)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG"])
def test_a_picture_that_takes_too_much_is_refused(kind: str) -> None:
    with pytest.raises(ImageTooLarge, match="100 x 50 pixels"):
        decode(encoded(scene(100, 50), kind), budget=Budget(64_999))
    assert decode(encoded(scene(100, 50), kind), budget=Budget(101_600)).size == (100, 50)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    data = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", 60000, 60000)
    with pytest.raises(ImageError):
        decode(bytes(data))
    data[29:33] = struct.pack(">I", __import__("zlib").crc32(bytes(data[12:29])))
    with pytest.raises(ImageTooLarge, match="60,000 x 60,000 pixels"):
        decode(bytes(data))


def test_a_large_jpeg_counts_as_its_decoder_reduces_it() -> None:
    data = encoded(scene(1600, 1200), "JPEG")
    assert decode(data, policy=SMALL, budget=Budget(484_800)).size == (85, 64)
    with pytest.raises(ImageTooLarge):
        decode(data, policy=SMALL, budget=Budget(484_799))


def test_a_jpeg_of_one_scan_for_each_colour_counts_whole_too() -> None:
    data = encoded(scene(1600, 1200), "JPEG")
    scan = data.index(b"\xff\xda")
    alone = data[:scan] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + data[scan + 14 :]
    with pytest.raises(ImageTooLarge):
        decode(alone, policy=SMALL, budget=Budget(12_004_799))


def test_a_progressive_jpeg_is_held_whole_by_its_decoder_and_counts_whole() -> None:
    data = encoded(scene(1600, 1200), "JPEG", progressive=True)
    with pytest.raises(ImageTooLarge):
        decode(data, policy=SMALL, budget=Budget(12_004_799))
    assert decode(data, policy=SMALL, budget=Budget(12_004_800)).size == (85, 64)


def test_a_picture_of_180_megapixels_is_not_refused_for_its_file(tmp_path: Path) -> None:
    data = encoded(Image.new("L", (20000, 9500)), "JPEG", quality=20)
    assert DECODED.limit_bytes < 20000 * 9500 * 13
    prepared = prepare(data, SMALL)
    assert (prepared.width_px, prepared.height_px) == (135, 64)


def test_threads_prepare_the_same_as_one() -> None:
    sources = [encoded(scene(300 + n, 200), "JPEG", icc_profile=wide_profile()) for n in range(12)]
    alone = [prepare(data, SMALL) for data in sources]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda data: prepare(data, SMALL), sources)) == alone


@posix
def test_a_file_that_may_not_be_read_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "a.jpg").chmod(0)
    fd = os.open(tmp_path, os.O_RDONLY)
    script = (
        "import os, sys\n"
        "from captiv.images.prepare import read\n"
        "from captiv.errors import ImageMissing\n"
        "os.fchdir(int(sys.argv[1]))\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: read('a.jpg')\n"
        "except ImageMissing as error: print(error)\n"
    )
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script, str(fd)],
        pass_fds=[fd],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    os.close(fd)
    assert done.stdout == "the file may not be read by this user\n"


def test_a_path_may_be_text_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "new\nline.jpg"
    path.write_bytes(encoded(scene(80, 60), "PNG"))
    assert (
        prepare(path, SMALL) == prepare(str(path), SMALL) == prepare(Path(path).read_bytes(), SMALL)
    )
