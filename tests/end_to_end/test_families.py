"""A model from a local directory, through the installed command: it is written as it was said."""

import json
from pathlib import Path

import pytest
from captiv_worker.engines import Answer

from tests.support import Home
from tests.worker.checkpoints import CHECKPOINTS, Checkpoint, PathOf
from tests.worker.test_conformance import asked, choice_of, loaded, pictures

pytestmark = pytest.mark.timeout(300)

QUICK = "git-large"
WORDS = 3
"""So few that nothing of it is a loop."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "checkpoint",
    [
        pytest.param(c, marks=() if c.variant == QUICK else pytest.mark.slow, id=c.variant)
        for c in CHECKPOINTS
    ],
)
def test_a_directory_captions_a_folder(
    home: Home, checkpoint: Checkpoint, checkpoint_path: PathOf
) -> None:
    path = checkpoint_path(checkpoint)
    for number, picture in enumerate(pictures()):
        picture.save(home.pictures / f"{number}.png")
    engine = loaded(path)
    prompt = checkpoint.prompts[0] if checkpoint.prompts else engine.spec.prompts[0]
    greedy = asked([None])[0].generation.model_copy(update={"max_new_tokens": WORDS})
    generation = greedy.over(choice_of(path).family.generation)
    expected = engine.caption(asked([prompt], generation))

    ended = home.run(
        *("caption", "generate", "--model", str(path), "--device", "cpu", str(home.pictures)),
        *("--max-new-tokens", str(WORDS), "--num-beams", "1", "--min-new-tokens", "0"),
        *("--temperature", "0", "--retries", "0", "--json"),
        *(("--prompt", checkpoint.prompts[0]) if checkpoint.prompts else ()),
    )

    texts = {
        f"{number}.txt": outcome.text
        for number, outcome in enumerate(expected)
        if isinstance(outcome, Answer)
    }
    written = home.captions()
    assert written or not any(texts.values()), ended  # an empty text is no caption
    assert written == {name: text for name, text in texts.items() if name in written}
    if checkpoint.variant == QUICK:
        assert (ended.code, len(written)) == (0, 5), ended
        assert len(set(written.values())) >= 3


@pytest.mark.slow
def test_a_mode_that_the_family_has_not_is_refused_with_those_it_has(
    home: Home, checkpoint_path: PathOf, tmp_path: Path
) -> None:
    config = tmp_path / "document-reader"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"model_type": "kosmos-2.5"}))

    ended = home.run("caption", "generate", "--model", str(config), "--mode", "grounding", ".")
    own = home.run("caption", "generate", "--model", str(config), "--prompt", "Describe it.", ".")

    assert (ended.code, own.code) == (2, 2), (ended, own)
    assert "kosmos has no mode 'grounding'" in ended.err
    assert "default, md, ocr" in ended.err
    assert "takes no prompt" in own.err
