"""`python -m captiv.testing.cloud`: a simulated RunPod until it is told to end.

Prints one line of JSON: `api_url`, `proxy_url`, `account_key`, and `environment` for captiv.
"""

import argparse
import json
import logging
import shlex
import signal
import sys
from decimal import Decimal
from typing import Any

import anyio

from captiv.testing.cloud.conditions import RUNPOD_QUOTA, Conditions
from captiv.testing.cloud.server import serve


def main() -> None:
    """Run a cloud from the command line."""
    asked = vars(_parser().parse_args())
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    ports = asked.pop("port"), asked.pop("proxy_port")
    mischief = [json.loads(text) for text in asked.pop("mischief")]
    given = {name: value for name, value in asked.items() if value is not None}
    anyio.run(_run, Conditions(**given), ports, mischief)


async def _run(
    conditions: Conditions, ports: tuple[int, int], mischief: list[dict[str, Any]]
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serve(conditions, port=ports[0], proxy_port=ports[1]) as cloud:
            for asked in mischief:
                cloud.mischief.arm(asked.pop("name"), **asked)
            line = {
                "api_url": cloud.api_url,
                "proxy_url": cloud.proxy_url,
                "account_key": cloud.account_key,
                "environment": dict(cloud.environment),
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
            async for _ in signals:
                return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m captiv.testing.cloud", description="A RunPod of your own, on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="of the API; 0 takes a free one")
    parser.add_argument("--proxy-port", type=int, default=0, help="of the proxy")
    parser.add_argument("--account-key", help="unset, a new one")
    parser.add_argument("--balance", type=Decimal, help="dollars on the account")
    parser.add_argument("--pulling-s", type=float, help="how long an image takes to pull")
    parser.add_argument("--restart-s", type=float, help="how long a crashed container is down")
    parser.add_argument("--proxy-limit-s", type=float, help="after which the proxy answers 524")
    parser.add_argument("--rtt-s", type=float, help="round trip of every request")
    parser.add_argument("--late-share", type=float, help="of ways that take 1 to 3 s more")
    parser.add_argument("--delete-lag-s", type=float, help="how long a pod outlives its end")
    parser.add_argument(
        "--quota-per-minute", type=int, default=RUNPOD_QUOTA, help="calls before 429; default 60"
    )
    parser.add_argument("--up-mbit", type=float, help="to the pods, for all of them together")
    parser.add_argument("--down-mbit", type=float, help="from the pods")
    parser.add_argument("--page-size", type=int, help="list pods in pages")
    parser.add_argument("--billing-lag-s", type=float, help="how late billing records are")
    parser.add_argument("--seed", type=int, help="of chances")
    parser.add_argument(
        "--worker-args",
        type=lambda text: tuple(shlex.split(text)),
        help="more arguments of the worker image, as one string",
    )
    parser.add_argument(
        "--mischief", action="append", default=[], metavar="JSON", help='as {"name": "crash_loop"}'
    )
    return parser


if __name__ == "__main__":
    main()
