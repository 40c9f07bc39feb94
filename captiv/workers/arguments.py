"""The command line of `captiv-worker`, for a child process as for a pod."""

from captiv.wire import ModelChange


def worker_arguments(
    *,
    host: str,
    port: int,
    name: str,
    model: ModelChange,
    device: str | None = None,
    engine: str | None = None,
) -> list[str]:
    """Return the arguments of a worker that listens there and loads this model.

    What is None is left to the worker; port 0 takes a free one.
    """
    said = {
        "--host": host,
        "--port": port,
        "--name": name,
        "--model": model.model,
        "--variant": model.variant,
        "--source": model.source,
        "--device": device,
        "--dtype": model.dtype,
        "--max-batch": model.max_batch,
        "--engine": engine,
    }
    return [
        str(part) for flag, value in said.items() if value is not None for part in (flag, value)
    ]
