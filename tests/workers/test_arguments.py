"""The command line that a worker is started with, read by the worker itself."""

from captiv_worker.settings import parse

from captiv.wire import ModelChange
from captiv.workers.arguments import worker_arguments

MODEL = ModelChange(
    model="blip", variant="base", source="someone/blip", dtype="float16", max_batch=12
)


def test_the_worker_reads_what_it_was_told() -> None:
    arguments = worker_arguments(host="0.0.0.0", port=8000, name="p", model=MODEL, device="cpu")

    read = parse(arguments, {"CAPTIV_WORKER_TOKEN": "t"})

    assert (read.host, read.port, read.name) == ("0.0.0.0", 8000, "p")
    assert (read.model, read.variant, read.source) == ("blip", "base", "someone/blip")
    assert (read.device, read.dtype, read.max_batch) == ("cpu", "float16", 12)


def test_what_is_not_said_is_left_to_the_worker() -> None:
    arguments = worker_arguments(
        host="127.0.0.1", port=0, name="local", model=ModelChange(model="blip")
    )

    assert arguments == ["--host", "127.0.0.1", "--port", "0", "--name", "local", "--model", "blip"]
