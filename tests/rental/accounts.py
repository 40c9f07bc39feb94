"""Accounts of the simulated cloud, without a command line around them."""

from captiv.rental.account import Account
from captiv.rental.runpod import RUNPOD, RunpodProvider
from captiv.rental.runpod.api import RunpodApi
from captiv.settings import Paths, Secret, Settings
from captiv.testing.cloud import Cloud

HERE = "0123456789ab"
"""The installation."""


def settings_of(cloud: Cloud, **runpod: object) -> Settings:
    """Return settings that point at this cloud, and lead to short waits."""
    section = {
        "api_key": cloud.account_key,
        "api_url": cloud.api_url,
        "proxy_url": cloud.proxy_url,
        "image": "captiv/worker:test",
        "default_gpu_type": "",
        "startup_timeout": 60,
        "guard_idle": 60,
        "lost_after": 3,
    }
    return Settings.model_validate({"runpod": section | runpod})


def account_of(cloud: Cloud, api: RunpodApi, paths: Paths, **runpod: object) -> Account:
    """Return the account of this installation, spoken to by `api`."""
    settings = settings_of(cloud, **runpod)
    provider = RunpodProvider(api, settings.runpod)
    return Account(provider, RUNPOD.policy(settings), paths, Secret(HERE, b"k" * 32))
