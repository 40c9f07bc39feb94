from pathlib import Path

import pytest
from captiv_worker.fetch import main


@pytest.mark.slow
def test_a_model_that_is_here_is_named_with_its_place(
    tiny_blip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shapes", str(tiny_blip)]) == 0

    out = capsys.readouterr().out
    assert "shapes: builtin:shapes is in " in out
    assert f"is in {tiny_blip}" in out


def test_a_model_that_does_not_exist_ends_the_build(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shapes", "no-such-model"]) == 1
    assert "no-such-model: There is no model" in capsys.readouterr().err
