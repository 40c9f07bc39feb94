"""Groups of options on the command line."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from captiv.cli.groups import grouped
from captiv.request.options import ModelOptions, Options, OutputOptions

app = typer.Typer()


@app.command()
@grouped
def one(
    word: Annotated[str, typer.Argument()],
    output: OutputOptions,
    model: ModelOptions,
    loud: Annotated[bool, typer.Option("--loud")] = False,
) -> None:
    print(word, loud, output.save, output.prefix, model.model, model.prompt_variables, sep="|")


@app.command()
@grouped
def all_of_them(options: Options) -> None:
    print(options.generation, options.retries, options.pods, options.runpod, options.dtype, sep="|")
    print(options.worker)


def said(*words: str) -> str:
    return CliRunner().invoke(app, words, catch_exceptions=False).output.strip()


def test_a_command_gets_each_group_as_one_value() -> None:
    told = said("one", "hello", "--prefix", "x, ", "-m", "git", "--prompt-variables", "a=1,b=2")

    assert told == "hello|False|True|x, |git|{'a': '1', 'b': '2'}"


def test_its_own_parameters_stay() -> None:
    assert said("one", "hello", "--loud", "--no-save") == "hello|True|False|None|None|{}"


def test_a_group_of_groups_has_the_options_of_all() -> None:
    told = said("all-of-them", "--top-k", "7", "--pods", "3", "--runpod", "--torch-dtype", "8bit")

    assert told == "{'top_k': 7}|None|3|True|8bit\n()"


def test_an_option_may_be_given_more_than_once() -> None:
    told = said("all-of-them", "--worker", "http://a", "--worker", "http://b")

    assert told.splitlines()[-1] == "('http://a', 'http://b')"


@pytest.mark.parametrize(("words", "bound"), [(("--retries", "21"), "20"), (("--pods", "0"), "1")])
def test_bounds_are_those_of_the_field(words: tuple[str, ...], bound: str) -> None:
    told = said("all-of-them", *words)

    assert words[0] in told
    assert bound in told


def test_options_stand_in_the_panel_of_their_group() -> None:
    panels = {
        parameter.name: parameter.rich_help_panel
        for parameter in typer.main.get_command(app).commands["all-of-them"].params  # type: ignore[attr-defined]
        if parameter.name != "help"
    }

    assert panels["recursive"] is None
    assert panels["model"] == "Model"
    assert panels["top_k"] == panels["retries"] == "Decoding"
    assert panels["gpu_type"] == "Where"
    assert panels["suffix"] == "Output"
    assert "paths" not in panels
