"""Lists as RunPod sends them: wrapped, and since autumn 2026 in pages.

A list without `pagination` is one page.
"""

from typing import Self

from pydantic import model_validator

from captiv.rental.runpod.catalog import CatalogGpu
from captiv.rental.runpod.values import BillingRecord, Pod, Registry, Reply


class Pagination(Reply):
    """Whether more follows, and where."""

    has_next_page: bool | None = None
    next_cursor: str | None = None

    @model_validator(mode="after")
    def _findable(self) -> Self:
        if self.has_next_page and not self.next_cursor:
            raise ValueError("a next page without a cursor")
        return self


class Page(Reply):
    """Some of a list."""

    pagination: Pagination | None = None

    def next_cursor(self) -> str | None:
        """Return where the next page begins, or None after the last."""
        if self.pagination is None or self.pagination.has_next_page is False:
            return None
        return self.pagination.next_cursor or None


class PodPage(Page):
    """Some of the account's pods."""

    pods: tuple[Pod, ...]


class GpuPage(Page):
    """Some of the catalog's GPU types."""

    gpus: tuple[CatalogGpu, ...]


class BillingPage(Page):
    """Some of the billing records."""

    records: tuple[BillingRecord, ...]


class RegistryPage(Page):
    """Some of the account's credentials for registries."""

    registries: tuple[Registry, ...]
