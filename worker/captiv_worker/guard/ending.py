"""The calls that end a pod, as the provider wrote them into `CAPTIV_GUARD_ENDING`.

The variable holds a JSON list of objects with `method`, `url`, and where the provider wants them
`headers` and `body`. `${NAME}` in a URL, a header's value or a body stands for the pod's variable
`NAME`, so that the pod's own id and key need not be known when the pod is asked for.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

_log = logging.getLogger(__name__)

ENDING = "CAPTIV_GUARD_ENDING"

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call, ready to be made; its representation shows no key."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str | None = field(default=None, repr=False)
    last_resort: bool = False
    """Whether it is made only where no call before it was accepted, or none of them helped."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a pod is ended."""

    calls: tuple[Call | None, ...] = ()
    """In the order in which they are made; None is a call that names an unset variable."""
    secrets: frozenset[str] = frozenset()
    """The variables that the worker is started without."""


def read(environ: Mapping[str, str]) -> Ending:
    """Return what the variable says; one that cannot be understood is logged, and no calls."""
    text = environ.get(ENDING, "").strip()
    if not text:
        return Ending()
    calls = _calls(text)
    if calls is None:
        _log.error("setting_refused name=%s reason=no_list_of_calls", ENDING)
        return Ending(secrets=secrets(environ))
    return Ending(tuple(_filled(call, environ) for call in calls), secrets(environ))


def secrets(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the variables that nobody but the guard may see: what headers name, and `ENDING`.

    A key may have been written into `ENDING` itself. Where that cannot be understood, which of the
    variables it names are secrets cannot be told: then all are.
    """
    text = environ.get(ENDING, "").strip()
    if not text:
        return frozenset()
    calls = _calls(text)
    if calls is None:
        return frozenset({ENDING, *_names(text)})
    named = (name for call in calls for value in call.headers.values() for name in _names(value))
    return frozenset({ENDING, *named})


def _calls(text: str) -> list[Call] | None:
    """Return the calls with their placeholders, or None if one of them can't be understood."""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(items, list):
        return None
    calls = [_call(item) for item in items]
    understood = [call for call in calls if call is not None]
    return understood if len(understood) == len(calls) else None


def _call(item: object) -> Call | None:
    said: dict[str, Any] = item if isinstance(item, dict) else {}
    method, url, body = said.get("method"), said.get("url"), said.get("body")
    headers, last_resort = said.get("headers", {}), said.get("last_resort", False)
    if (
        isinstance(method, str)
        and method.isascii()
        and method.isalpha()
        and isinstance(url, str)
        and url.lower().startswith(("https://", "http://"))
        and isinstance(headers, dict)
        and all(isinstance(header, str) for header in headers.values())
        and (body is None or isinstance(body, str))
        and isinstance(last_resort, bool)
    ):
        return Call(method, url, headers, body, last_resort)
    return None


def _filled(call: Call, environ: Mapping[str, str]) -> Call | None:
    """Return the call with values in the place of names; None if one of them is unset."""
    given = (call.url, *call.headers.values(), call.body or "")
    values = {name: environ.get(name, "").strip() for text in given for name in _names(text)}
    unset = [name for name, value in values.items() if not value]
    if unset:
        _log.error("ending_call_refused method=%s unset=%s", call.method, ",".join(unset))
        return None
    quoted = {name: quote(value, safe="", errors="replace") for name, value in values.items()}
    return Call(
        call.method,
        _replaced(call.url, quoted),
        {name: _replaced(value, values) for name, value in call.headers.items()},
        None if call.body is None else _replaced(call.body, values),
        call.last_resort,
    )


def _names(text: str) -> list[str]:
    return _PLACEHOLDER.findall(text)


def _replaced(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)
