"""`captiv caption generate`: the main job."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

_MODEL = "Model"
_DECODING = "Decoding"
_OUTPUT = "Output"
_WORKER = "Where"


def generate(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Images and folders; the current folder if none.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders below, too.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Caption images again that have a sidecar. Sidecars edited by hand are kept and "
            "named; --overwrite=all replaces them, too.",
        ),
    ] = False,
    overwrite_all: Annotated[bool, typer.Option("--overwrite-all", hidden=True)] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Caption at most so many images.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A model of `captiv model list`, a local directory or a hub id.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant", "-v", help="Which checkpoint of the model.", rich_help_panel=_MODEL
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="How to ask: `captiv model show NAME` lists them.", rich_help_panel=_MODEL
        ),
    ] = None,
    length: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="How long a caption to ask for, where the model has lengths: short, long, … or a "
            "number of words.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            "-p",
            help="A prompt of your own, instead of a mode's.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    prompt_options: Annotated[
        str | None, typer.Option(help="Sentences to add, by key: a,b,c.", rich_help_panel=_MODEL)
    ] = None,
    prompt_variables: Annotated[
        str | None,
        typer.Option(help="Values for {name} in the prompt: name=VALUE,…", rich_help_panel=_MODEL),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Longest caption, in tokens.", rich_help_panel=_DECODING)
    ] = None,
    min_new_tokens: Annotated[
        int | None, typer.Option(help="Shortest caption, in tokens.", rich_help_panel=_DECODING)
    ] = None,
    num_beams: Annotated[
        int | None,
        typer.Option(help="Beams searched; 1 is greedy or sampled.", rich_help_panel=_DECODING),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="0 is greedy; above, sampled, with one beam unless told.",
            rich_help_panel=_DECODING,
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Sample among so many tokens; 0 among all.", rich_help_panel=_DECODING),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Sample among the likeliest of this share.", rich_help_panel=_DECODING),
    ] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(help="Above 1 discourages repeating.", rich_help_panel=_DECODING)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Makes sampling repeatable, image by image; exact in float32.",
            rich_help_panel=_DECODING,
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=20,
            help="How often an answer that is no caption (looping, empty, refusing, cut off) is "
            "tried again, sampled from another seed.",
            rich_help_panel=_DECODING,
        ),
    ] = None,
    torch_dtype: Annotated[
        str | None,
        typer.Option(
            help="auto, float32, float16, bfloat16, 8bit or 4bit.", rich_help_panel=_WORKER
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, mps, cuda, cuda:N, xpu or xpu:N.", rich_help_panel=_WORKER),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Images captioned together; auto: the worker finds out what its memory holds.",
            rich_help_panel=_WORKER,
        ),
    ] = None,
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A worker that runs elsewhere; its token in CAPTIV_WORKER_TOKEN.",
            rich_help_panel=_WORKER,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="captiv|openai",
            help="What --worker speaks. openai: any chat server that sees images, such as vLLM, "
            "llama.cpp, LM Studio or Ollama.",
            rich_help_panel=_WORKER,
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Send the token over plain http to another machine.",
            rich_help_panel=_WORKER,
        ),
    ] = False,
    runpod: Annotated[
        bool,
        typer.Option(
            "--runpod/--no-runpod",
            help="Rent a GPU from RunPod by the second, and end it when the run ends.",
            rich_help_panel=_WORKER,
        ),
    ] = False,
    gpu_type: Annotated[
        str | None,
        typer.Option(
            help="Type of GPU tried first on RunPod; one that is not on offer at all is refused.",
            rich_help_panel=_WORKER,
        ),
    ] = None,
    pods: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            metavar="N",
            help="Pods that are fed from the same queue, each at its own speed.",
            rich_help_panel=_WORKER,
        ),
    ] = 1,
    max_cost: Annotated[
        str | None,
        typer.Option(
            metavar="DOLLARS",
            help="Claim no more in time to stay below; the rest stays pending.",
            rich_help_panel=_WORKER,
        ),
    ] = None,
    fallback: Annotated[
        str | None,
        typer.Option(
            metavar="local|wait|fail",
            help="When RunPod fails: go on on this machine, wait, or keep the images for later.",
            rich_help_panel=_WORKER,
        ),
    ] = None,
    terminate: Annotated[
        bool,
        typer.Option(
            "--terminate",
            help="Also end a pod that this run used and `captiv runpod create` made.",
            rich_help_panel=_WORKER,
        ),
    ] = False,
    save: Annotated[
        bool,
        typer.Option(
            "--save/--no-save",
            help="Write sidecars, or print the captions only.",
            rich_help_panel=_OUTPUT,
        ),
    ] = True,
    extension: Annotated[
        str | None, typer.Option(help="Extension of sidecars (.txt).", rich_help_panel=_OUTPUT)
    ] = None,
    sidecar_name: Annotated[
        str | None,
        typer.Option(
            metavar="stem|full",
            help="a.jpg has a.txt (stem) or a.jpg.txt (full).",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Text before each caption.", rich_help_panel=_OUTPUT)
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="Text after each caption.", rich_help_panel=_OUTPUT)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on standard output.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line for each image.")] = False,
    config_file: Annotated[
        Path | None, typer.Option("--config-file", "-c", help="Use this configuration file.")
    ] = None,
) -> None:
    """Write a caption beside every image, as a sidecar text file.

    Images that have one are skipped. An interrupted run goes on where it stopped when the same
    command is given again.
    """
    from captiv.cli.invocation import current
    from captiv.cli.show import note
    from captiv.request import Options, contradicted, pairs, request, words

    places = current().paths()
    settings = current().settings()
    decoding: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "min_new_tokens": min_new_tokens,
        "num_beams": num_beams,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
        "seed": seed,
    }
    options = Options(
        paths=tuple(paths or ()),
        recursive=recursive,
        overwrite="all" if overwrite_all else "yes" if overwrite else "no",
        limit=limit,
        model=model,
        variant=variant,
        mode=mode,
        length=length,
        prompt=prompt,
        prompt_options=words(prompt_options),
        prompt_variables=pairs(prompt_variables, "--prompt-variables"),
        generation=decoding,
        retries=retries,
        dtype=torch_dtype,
        device=device,
        batch_size=batch_size,
        save=save,
        extension=extension,
        sidecar_name=sidecar_name,
        prefix=prefix,
        suffix=suffix,
        worker=worker,
        protocol=protocol,
        insecure=insecure,
        runpod=runpod,
        gpu_type=gpu_type,
        pods=pods,
        max_cost=max_cost,
        fallback=fallback,
        terminate=terminate,
    )
    spec, choice = request(options, settings)
    for sentence in contradicted(options, spec, choice):
        note(sentence)
    if dry_run:
        from captiv.cli.preview import preview

        preview(spec, choice, settings, as_json=as_json)
        return
    from captiv.cli.work import work
    from captiv.service import Service

    code = work(
        lambda display: Service(places, settings, display).caption(spec),
        verbosity="quiet" if quiet else "verbose" if verbose else "normal",
        as_json=as_json,
        print_captions=not save,
        resume=_spelled(["captiv", *sys.argv[1:]]),
        log_file=places.log_file,
    )
    raise typer.Exit(code)


def _spelled(words: list[str]) -> str:
    """Return a command as this system's shell takes it."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
