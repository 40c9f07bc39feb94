"""Answers that are objects: which are taken, what is repaired, and what becomes of boxes."""

import json
import random
import re
from typing import Any

import pytest
from pydantic_core import from_json

from captiv.core.structure import (
    NAMED,
    Misfit,
    Schema,
    Structured,
    asked_for,
    bare,
    checked,
    structured,
)
from captiv.core.structure.objects import parsed
from captiv.errors import UsageError

OBJECTS = checked(json.dumps(NAMED["objects"]), "objects")
TAGS = checked(json.dumps(NAMED["caption-tags"]), "caption-tags")


def schema(**properties: Any) -> Schema:
    return checked(json.dumps({"type": "object", "properties": properties}), "test")


def found(*boxes: list[float], caption: str = "Two dogs.") -> dict[str, Any]:
    return {"caption": caption, "objects": [{"label": "dog", "box": box} for box in boxes]}


def kept(
    answer: Any, schema: Schema = OBJECTS, *, size: tuple[int, int] = (1000, 1000)
) -> Structured | Misfit:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return structured(text, schema, "stop", width_px=size[0], height_px=size[1])


def why(answer: Any, schema: Schema = OBJECTS) -> str:
    verdict = kept(answer, schema)
    assert isinstance(verdict, Misfit), verdict
    return verdict.why


# -- 50,000 broken answers -------------------------------------------------------------------------

_BITS = (
    *("{", "}", "[", "]", ",", ":", '"', "\\", "```", "```json\n", "\n", " ", "\u00a0", "null"),
    *("NaN", "-Infinity", "1e999", "//x", "'", '"a":1,', '"caption":"b",', ",}", ",]", "\\u", "é"),
    *('\\ud800"', "\ufeff", "0", "-", "tru", "true", "[[[[", '{"a":', "<|im_end|>", "Sure! "),
)


def broken(rng: random.Random) -> str:
    """An answer of somebody's model: right, or spoilt in one to four places."""
    boxes = [[rng.randint(0, 500), 0, rng.randint(501, 1000), 9] for _ in range(rng.randint(1, 3))]
    words = "".join(rng.choices('ab ",]}{[\\`é\n', k=rng.randint(1, 12)))
    value = found(*boxes, caption=words)  # type: ignore[arg-type]
    text = json.dumps(value, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.3:
        text = f"```{rng.choice(('json', '', 'JSON', 'yaml'))}\n{text}\n```"
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(5):
            case 0:
                text = text[:at]
            case 1:
                text = text[:at] + text[at + rng.randint(1, 3) :]
            case 2:
                text = text[:at] + rng.choice(_BITS) + text[at:]
            case 3:
                ends = [found.start() for found in re.finditer(r"[]}]", text)] or [0]
                at = rng.choice(ends)
                text = text[:at] + rng.choice((",", ", ", ",,")) + text[at:]
            case 4:
                other = rng.randrange(len(text) + 1)
                text = text[:at] + text[other : other + rng.randint(1, 9)] + text[at:]
    return text


_STRING = r'"(?:[^"\\]|\\.)*"'


def plainly_repaired(text: str) -> str:
    """The two repairs once more, by other means: the strict parser is to judge what they make."""
    blank = " \t\r\n"
    fence = re.fullmatch(r"```(?:json)?(.*)```", text.strip(blank), re.DOTALL | re.IGNORECASE)
    inside = (fence[1] if fence else text).strip(blank)
    rule = rf"({_STRING}|[\w.\]}}])([ \t\r\n]*),(?=[ \t\r\n]*[\]}}])|({_STRING})"
    return re.sub(rule, lambda m: m[0] if m[1] is None else m[1] + m[2], inside, flags=re.DOTALL)


def fits_by_hand(value: Any) -> bool:
    """The schema `objects`, as its author would check it without any library."""
    return (
        isinstance(value, dict)
        and value.keys() == {"caption", "objects"}
        and isinstance(value["caption"], str)
        and value["caption"] != ""
        and isinstance(value["objects"], list)
        and 1 <= len(value["objects"]) <= 50
        and all(map(_is_object, value["objects"]))
    )


def _is_object(each: Any) -> bool:
    return (
        isinstance(each, dict)
        and each.keys() == {"label", "box"}
        and isinstance(each["label"], str)
        and each["label"] != ""
        and isinstance(each["box"], list)
        and len(each["box"]) == 4
        and all(type(number) in (int, float) for number in each["box"])
    )


def assert_none_is_taken_wrongly(count: int, seed: str) -> None:
    rng = random.Random(seed)
    taken = refused = 0
    for _ in range(count):
        answer = broken(rng)
        value = parsed(answer, OBJECTS)
        if isinstance(value, Misfit):
            refused += 1
            continue
        taken += 1
        strict = from_json(plainly_repaired(answer), allow_inf_nan=False)
        assert fits_by_hand(strict), answer
        assert json.dumps(strict) == json.dumps(value), answer
    assert min(taken, refused) > count / 10, (taken, refused)


def test_no_broken_answer_is_taken_that_a_strict_parser_refuses() -> None:
    assert_none_is_taken_wrongly(2_000, "fast")


@pytest.mark.chaos
def test_of_50_000_broken_answers_none_is_taken_that_a_strict_parser_refuses() -> None:
    assert_none_is_taken_wrongly(50_000, "long")


# -- what is repaired, and what is not ---------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "```json\n{}\n```",
        "```\n{}```",
        " \n{}\n ",
    ],
)
def test_a_fence_around_the_whole_answer_is_taken_off(form: str) -> None:
    text = json.dumps(found([0, 0, 9, 9]))
    assert parsed(form.replace("{}", text), OBJECTS) == found([0, 0, 9, 9])


def test_a_comma_after_the_last_item_is_taken_out_and_texts_stay_as_they_are() -> None:
    text = '{"caption": "a,] b,}", "objects": [{"label": "d,]", "box": [1, 2, 3, 4 , ],}, ],\n}'
    value = parsed(text, OBJECTS)
    assert value == {"caption": "a,] b,}", "objects": [{"label": "d,]", "box": [1, 2, 3, 4]}]}


@pytest.mark.parametrize(
    "answer",
    [
        '{"caption": "a", "tags": ["x"]',
        '{"caption": "a", "tags": ["x"',
        '{"caption": "a", "tags": ["x", ,]}',
        '{"caption": "a", "tags": [,]}',
        '{"caption": "a",, "tags": ["x"]}',
        '{"caption": "a" "tags": ["x"]}',
        "{'caption': 'a', 'tags': ['x']}",
        'Here it is: {"caption": "a", "tags": ["x"]}',
        '{"caption": "a", "tags": ["x"]} I hope this helps!',
        '{"caption": "a", "tags": ["x"]}{"caption": "a", "tags": ["x"]}',
        '{"caption": "a", "caption": "b", "tags": ["x"]}',
        '{"caption": "a", "tags": ["x"], "n": NaN}',
        '{"caption": "a\\ud800", "tags": ["x"]}',
        '{"caption": "a\\u0000", "tags": ["x"]}',
        '{"caption": "line\nline", "tags": ["x"]}',
        pytest.param("[" * 100_000, id="lists without end"),
        pytest.param('{"a":' * 100_000, id="objects without end"),
        "",
        "null",
        '"a"',
    ],
)
def test_what_would_have_to_be_guessed_is_refused(answer: str) -> None:
    loose = checked('{"type": "object"}', "loose")
    assert isinstance(parsed(answer, TAGS), Misfit)
    assert isinstance(parsed(answer, loose), Misfit)


def test_a_number_that_is_none_is_refused() -> None:
    assert "no number" in why('{"n": 1e999, "m": 1}', schema(n={"type": "number"}))


def test_deep_values_are_refused_also_where_the_schema_takes_anything() -> None:
    deep = '{"a":' * 80 + "1" + "}" * 80
    assert why(deep, schema()) == "it is nested too deeply"


def test_an_answer_that_the_limit_ended_is_done_only_if_it_is_whole() -> None:
    whole = json.dumps({"caption": "a dog", "tags": ["dog"]})
    for cut in range(len(whole)):
        verdict = structured(whole[:cut], TAGS, "length", width_px=9, height_px=9)
        assert verdict == Misfit("it was cut off by the limit of new tokens")
    assert isinstance(structured(whole, TAGS, "length", width_px=9, height_px=9), Structured)


# -- why, in words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"caption": "a"}, "the answer has no 'objects'"),
        (found([0, 0, 1, 1]) | {"more": 1}, "the answer has 'more', which the schema doesn't name"),
        (found(), "objects has 0 items; at least 1 is needed"),
        (found([0, 0, 1]), "objects[0].box has 3 items; at least 4 are needed"),
        (found([0, 0, 9, 9], ["x", 0, 1, 1]), "objects[1].box[0] must be a number"),  # type: ignore[list-item]
        (found([0, 0, 1, True]), "objects[0].box[3] must be a number"),
        (found([0, 0, 1, 1], caption=""), "caption has 0 characters; at least 1 is needed"),
        ([1], "it is no JSON object"),
    ],
)
def test_what_does_not_fit_is_said_in_words(value: Any, words: str) -> None:
    assert why(value) == words


def test_every_rule_that_a_schema_may_have_is_said_in_words() -> None:
    rules = schema(
        mood={"enum": ["calm", "wild"]},
        kind={"const": "photo"},
        tags={"type": "array", "uniqueItems": True},
        stars={"type": ["integer", "null"], "minimum": 1, "exclusiveMaximum": 6},
        either={"anyOf": [{"type": "string"}, {"type": "null"}]},
    )

    assert why({"mood": "odd"}, rules) == 'mood must be one of "calm", "wild"'
    assert why({"kind": "x"}, rules) == 'kind must be "photo"'
    assert why({"tags": ["a", "a"]}, rules) == "tags has the same item twice"
    assert why({"stars": 1.5}, rules) == "stars must be a whole number or null"
    assert why({"stars": 0}, rules) == "stars is 0, and must be at least 1"
    assert why({"stars": 6}, rules) == "stars is 6, and must be less than 6"
    assert why({"either": 1}, rules).startswith("either ")


def test_words_that_are_no_caption_are_refused_inside_an_object_too() -> None:
    refusal = "I'm sorry, but I can't help with this image."
    loop = "a dog and " * 40
    assert "declines" in why({"caption": refusal, "tags": ["x"]}, TAGS)
    assert "repeats itself" in why({"caption": loop, "tags": ["x"]}, TAGS)
    assert why({"caption": " ", "tags": ["\n"]}, TAGS) == "its texts are blank"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"watermark": False}, "watermark: no"),
        ({"watermark": False, "place": None, "face_shown": False}, "watermark: no, face shown: no"),
        ({"objects": []}, '{"objects": []}'),
        ({"text": ""}, '{"text": ""}'),
        ({"text": "N/A"}, "N/A"),
        ({"question": "What is the man holding?"}, "What is the man holding?"),
        ({"text": "WHERE IS MY CAT?"}, "WHERE IS MY CAT?"),
        ({"first": "a man in a coat and"}, "a man in a coat and"),
        ({"title": "Assistant: on duty"}, "Assistant: on duty"),
    ],
)
def test_what_belongs_into_a_field_only_its_schema_knows(value: Any, text: str) -> None:
    verdict = kept(value, schema())
    assert isinstance(verdict, Structured), verdict
    assert verdict.text == text
    assert json.loads(verdict.object) == value


def test_a_reason_is_told_whole_also_deep_in_an_object_of_long_names() -> None:
    name = "n" * 400
    inner: dict[str, Any] = {"type": "string"}
    value: Any = 1
    for _ in range(5):
        inner, value = {"type": "object", "properties": {name: inner}}, {name: value}
    assert why(value, checked(json.dumps(inner), "test")).endswith(" must be a text")
    assert why({name: 1}, schema(**{name: {"type": "string"}})) == f"{'n' * 40}… must be a text"


def test_many_objects_of_one_kind_are_no_loop() -> None:
    crowd = found(*([float(n), 0, n + 20, 100] for n in range(0, 900, 20)), caption="A crowd.")
    assert isinstance(kept(crowd), Structured)


# -- boxes -------------------------------------------------------------------------------------


def boxes_of(verdict: Structured | Misfit) -> list[list[int]]:
    assert isinstance(verdict, Structured), verdict
    return [each["box"] for each in json.loads(verdict.object)["objects"]]


def test_boxes_become_pixels_of_the_picture_and_stay_inside_it() -> None:
    value = found([0, 0, 1000, 1000], [100, 500, 200, 900], [-50, 990, 40.5, 5000])
    assert boxes_of(kept(value, size=(400, 300))) == [
        [0, 0, 400, 300],
        [40, 150, 80, 270],
        [0, 297, 17, 300],
    ]


def test_a_box_has_always_a_pixel() -> None:
    ((left, top, right, bottom),) = boxes_of(kept(found([999, 0, 1000, 1]), size=(30, 20)))
    assert 0 <= left < right <= 30
    assert 0 <= top < bottom <= 20


@pytest.mark.parametrize("box", [[500, 0, 400, 9], [0, 0, 0, 9], [1001, 0, 1200, 9]])
def test_a_box_with_nothing_in_it_is_asked_for_again(box: list[float]) -> None:
    assert "the box at objects[1].box is empty or lies outside the picture" in why(
        found([0, 0, 9, 9], box)
    )


@pytest.mark.parametrize("other", [["a", "b", "c", "d"], [None] * 4, [True] * 4])
def test_four_things_that_are_no_numbers_are_no_box(other: list[Any]) -> None:
    box = NAMED["objects"]["properties"]["objects"]["items"]["properties"]["box"]
    rules = schema(where={"anyOf": [box, {"type": "array"}]})
    verdict = kept({"where": other}, rules)
    assert isinstance(verdict, Structured)
    assert json.loads(verdict.object) == {"where": other}


def test_boxes_are_found_behind_references_and_where_null_is_allowed() -> None:
    box = NAMED["objects"]["properties"]["objects"]["items"]["properties"]["box"]
    document = {
        "type": "object",
        "$defs": {"box": box},
        "properties": {
            "face": {"anyOf": [{"$ref": "#/$defs/box"}, {"type": "null"}]},
            "numbers": {"type": "array", "items": {"type": "number"}},
            "kind": {"type": "string"},
        },
    }
    rules = checked(json.dumps(document), "test")

    with_face = kept(
        {"face": [0, 0, 500, 500], "numbers": [0, 0, 500, 500], "kind": "a"}, rules, size=(10, 10)
    )
    without = kept({"face": None, "kind": "a"}, rules)

    assert isinstance(with_face, Structured)
    assert json.loads(with_face.object)["face"] == [0, 0, 5, 5]
    assert json.loads(with_face.object)["numbers"] == [0, 0, 500, 500]
    assert isinstance(without, Structured)
    assert rules.has_boxes and not TAGS.has_boxes


# -- the text ----------------------------------------------------------------------------------


def test_the_text_has_everything_but_boxes_in_one_line() -> None:
    rules = schema()
    value = {
        "caption": "A red\ncircle.",
        "tags": ["red", "round"],
        "people_count": 2,
        "indoors": True,
        "blurred": False,
        "place": None,
    }
    verdict = kept(value, rules)
    assert isinstance(verdict, Structured)
    assert verdict.text == "A red circle. red, round, people count: 2, indoors"
    assert json.loads(verdict.object) == value
    odd = kept({"a": "\x1b[1mred\x07\ufeff \x85 dog"}, rules)
    assert isinstance(odd, Structured)
    assert odd.text == "[1mred dog"
    boxed = kept(found([0, 0, 9, 9], [0, 0, 9, 9]))
    assert isinstance(boxed, Structured)
    assert boxed.text == "Two dogs. dog, dog"


# -- schemas -----------------------------------------------------------------------------------


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        inner = {"type": "object", "properties": {"a": inner}}
    return inner


def multiplied(levels: int) -> dict[str, Any]:
    """References that multiply with each level: a few lines, and a thousand schemas."""
    defs: dict[str, Any] = {"n0": {"type": "string"}}
    for n in range(1, levels):
        defs[f"n{n}"] = {"allOf": [{"$ref": f"#/$defs/n{n - 1}"}] * 4}
    return {
        "type": "object",
        "$defs": defs,
        "properties": {"a": {"$ref": f"#/$defs/n{levels - 1}"}},
    }


def referred(name: str) -> dict[str, Any]:
    """A schema whose definition has this name, and is referred to by it."""
    return {
        "type": "object",
        "$defs": {name: {"type": "string"}},
        "properties": {"a": {"$ref": f"#/$defs/{name}"}},
    }


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "it isn't JSON"),
        pytest.param("[" * 50_000, "it isn't JSON", id="lists without end"),
        ([], "it must describe an object: add"),
        ({"type": "array"}, "it must describe an object: add"),
        ({"type": "object", "properties": []}, "properties is no JSON object"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "/properties/a/type"),
        ({"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}}, "'pattern' is no keyword"),
        ({"type": "object", "patternProperties": {}}, "'patternProperties' is no keyword"),
        ({"type": "object", "$id": "http://example.org/x"}, "'$id' is no keyword"),
        ({"type": "object", "$ref": "http://example.org/x"}, "$ref is a #/$defs/NAME"),
        ({"type": "object", "$ref": "file:///etc/passwd"}, "$ref is a #/$defs/NAME"),
        ({"type": "object", "$ref": "#"}, "$ref is a #/$defs/NAME"),
        ({"type": "object", "$ref": "#/$defs/none"}, "$ref is a #/$defs/NAME"),
        (
            {"type": "object", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}
            | {"properties": {"a": {"$ref": "#/$defs/a"}}},
            "#/$defs/a leads back to itself",
        ),
        (nested(20), "schemas deep"),
        (multiplied(6), "1,000 schemas"),
        ({"type": "object", "title": "x" * 9_000}, "the model is told up to 8,192"),
        (nested(20) | {"title": "x" * 9_000}, "the model is told up to 8,192"),
        ('{"type": "object", "default": NaN}', "it isn't JSON: NaN is no number"),
        ('{"type": "object", "default": 1e999}', "it isn't JSON: 1e999 is no number"),
        (referred("a~1b"), "$ref is a #/$defs/NAME"),
        (referred("a%20b"), "$ref is a #/$defs/NAME"),
        (
            {"type": "object", "properties": {"a": {"format": "box", "type": "string"}}},
            'a "format": "box" is an array of numbers',
        ),
    ],
)
def test_a_schema_that_reaches_out_or_takes_long_is_refused_in_words(
    document: Any, words: str
) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(UsageError, match=re.escape(words)):
        checked(text, "mine.json")


def test_a_run_keeps_the_order_in_which_a_schema_names_things() -> None:
    text = '{"type":"object","properties":{"zebra":{"type":"string"},"ant":{"type":"string"}}}'
    assert checked(text, "mine").text == text


@pytest.mark.parametrize("name", NAMED)
def test_the_schemas_that_captiv_has_are_short_and_said_in_the_prompt(name: str) -> None:
    rules = checked(json.dumps(NAMED[name]), name)
    prompt = asked_for("Describe it.", rules)
    assert prompt.startswith("Describe it.\n\n")
    assert rules.text in prompt
    assert ("thousandths" in prompt) == rules.has_boxes
    assert len(prompt) < 1_000


def test_an_engine_is_given_no_word_that_it_may_not_know() -> None:
    engines = json.loads(bare(OBJECTS.text))
    box = engines["properties"]["objects"]["items"]["properties"]["box"]
    assert "format" not in box
    assert box["minItems"] == 4


def test_an_engine_gets_no_rule_that_it_may_refuse_the_whole_request_for() -> None:
    note = {"type": "string", "format": "date"}
    rules = schema(
        format=note | {"default": "x", "examples": ["y"]},
        tags={"type": "array", "items": note, "uniqueItems": True},
        any={"type": "object", "minProperties": 1, "maxProperties": 2, "$comment": "z"},
        one={"oneOf": [note, {"type": "null"}]},
        both={"oneOf": [note], "anyOf": [{"type": "string"}]},
    )

    assert json.loads(bare(rules.text)) == {
        "type": "object",
        "properties": {
            "format": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "any": {"type": "object"},
            "one": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "both": {"anyOf": [{"type": "string"}]},
        },
    }
