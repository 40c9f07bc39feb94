"""Holds a worker's answers against docs/openapi.json."""

import json

import httpx2

from tests.contract.contract import Contract, ContractError
from tests.docs.pages import DOCS

DESCRIBED = Contract(json.loads((DOCS / "openapi.json").read_text("utf-8")), "docs/openapi.json")


def hold(answer: httpx2.Response) -> None:
    """Fail if the answer is one that the description does not have.

    Raises:
        ContractError: its status, a header or its body is not described.
    """
    request = answer.request
    answer.read()
    DESCRIBED.check_answer(
        request.method,
        request.url.path,
        answer.status_code,
        dict(answer.headers),
        answer.content,
    )


def hold_if_described(answer: httpx2.Response) -> None:
    """Hold an answer, unless the path has no such method, or a defect was answered."""
    try:
        DESCRIBED.operation(answer.request.method, answer.request.url.path)
    except ContractError:
        return
    if b'"code":"internal"' not in answer.read():
        hold(answer)
