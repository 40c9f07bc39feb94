"""Every command line of the documents is one that captiv, its worker or the repository takes.

What is run as well, and what only is read here, tests/docs/test_lines_run.py says.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from captiv_worker.settings import parse

from captiv.cli.app import command
from captiv.cli.refusal import SPELLED
from captiv.errors import CaptivError

from .lines import Line, lines
from .pages import ROOT

LINES = list(lines())
EAGER = {"--help", "--version", "--install-completion", "--show-completion"}
KNOWN = {
    "captiv",
    "captiv-worker",
    "curl",
    "docker",
    "export",
    "man",
    "pip",
    "python",
    "python3",
    "sky",
    "ssh",
    ".",
}


def of(program: str) -> list[Line]:
    return [line for line in LINES if line.program == program]


def parsed(words: list[str]) -> dict[str, Any]:
    """Return what the command line makes of its words; nothing is run.

    Raises: whatever a person would be told.
    """
    args = [SPELLED.get(word, word) for word in words]
    if EAGER & set(args):  # which act while they are read
        return {}
    node, path = command(), "captiv"
    while getattr(node, "commands", None):
        with node.make_context(path, list(args)) as ctx:
            name, node, args = node.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
            path = f"{path} {name}"
    with node.make_context(path, list(args)) as ctx:
        return dict(ctx.params)


def test_the_documents_are_full_of_them() -> None:
    assert len(of("captiv")) > 80
    assert len(of("curl")) > 15


@pytest.mark.parametrize("line", of("captiv"), ids=str)
def test_captiv_takes_it(line: Line) -> None:
    parsed(line.words[1:])


def test_what_captiv_does_not_take_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed(["caption", "generate", "photos", "--modell", "blip"])
    with pytest.raises(Exception, match="No such command"):
        parsed(["caption", "generat", "photos"])


@pytest.mark.parametrize("line", of("captiv"), ids=str)
def test_models_and_modes_that_it_names_exist(line: Line) -> None:
    from captiv.request.options import Options, pairs, words
    from captiv.request.run import request
    from captiv.settings import Settings

    given = parsed(line.words[1:])
    if "prompt_variables" not in given or given.get("protocol"):
        return
    options = Options(
        paths=(Path("photos"),),
        model=given["model"],
        mode=given["mode"],
        length=given["length"],
        prompt=given["prompt"],
        prompt_options=words(given["prompt_options"]),
        prompt_variables=pairs(given["prompt_variables"], "--prompt-variables"),
    )

    try:
        request(options, Settings())
    except CaptivError as error:
        assert "photos" in error.message, error.message


@pytest.mark.parametrize("line", of("captiv-worker"), ids=str)
def test_the_worker_takes_it(line: Line) -> None:
    assert parse(line.words[1:], {"CAPTIV_WORKER_TOKEN": "x"}).model


def test_other_programs_are_those_of_the_repository_and_of_the_system() -> None:
    for line in LINES:
        if line.program.startswith("scripts/"):
            assert (ROOT / line.program).is_file(), line
        else:
            assert line.program in KNOWN, line


def test_what_is_installed_is_an_extra_of_captivs() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in of("pip"):
        for names in re.findall(r"\[(.*?)\]", line.text):
            assert set(names.split(",")) <= set(extras["optional-dependencies"]), line


def test_what_docker_reads_is_there() -> None:
    for line in of("docker"):
        for name in re.findall(r"-f (\S+)", line.text):
            assert (ROOT / name).is_file(), line
