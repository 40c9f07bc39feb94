"""Where captiv keeps its things: the platform's user folders, or all of it below CAPTIV_HOME.

Folders are made when something is first put into them, closed to other users (0700).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from captiv.errors import ConfigurationError

HOME_VARIABLE = "CAPTIV_HOME"
CONFIG_VARIABLE = "CAPTIV_CONFIG_FILE"


@dataclass(frozen=True, slots=True)
class Paths:
    """The files and folders of one installation. Nothing here is made by asking for it."""

    config_file: Path
    data_dir: Path
    cache_dir: Path
    log_file: Path
    config_named: bool = False
    """Whether the person named the configuration file: then it has to be there to be read."""

    @property
    def database(self) -> Path:
        """The job table."""
        return self.data_dir / "captiv.db"

    @property
    def lock_file(self) -> Path:
        """The lease: whoever holds this lock dispatches."""
        return self.data_dir / "captiv.lock"

    @property
    def secret_file(self) -> Path:
        """The installation's secret, from which the tokens of its workers come."""
        return self.data_dir / "secret.json"

    @classmethod
    def find(
        cls, config_file: str | Path | None = None, environ: Mapping[str, str] | None = None
    ) -> "Paths":
        """Return the paths that the environment asks for; `config_file` goes before it."""
        env = os.environ if environ is None else environ
        home = env.get(HOME_VARIABLE)
        found = _below(_absolute(home)) if home else _of_the_user()
        config = config_file or env.get(CONFIG_VARIABLE)
        if not config:
            return found
        return replace(found, config_file=_absolute(config), config_named=True)

    def make_data_dir(self) -> Path:
        """Make the data folder if it is not there, and return it."""
        return private_folder(self.data_dir)


def private_folder(folder: Path) -> Path:
    """Make `folder`, and what is missing above it, closed to other users; return it.

    A folder that is already there keeps the mode that somebody gave it.

    Raises:
        ConfigurationError: it cannot be made.
    """
    missing = [folder, *folder.parents]
    missing = missing[: next((i for i, f in enumerate(missing) if f.exists()), len(missing))]
    try:
        for part in reversed(missing):
            part.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(20, "Not a directory")
    except OSError as error:
        raise ConfigurationError(
            f"captiv cannot make its folder {folder}: {error.strerror or error}.",
            hint=f"Make it by hand, or set {HOME_VARIABLE} to a folder that can be written.",
        ) from error
    return folder


def _below(home: Path) -> Paths:
    return Paths(
        config_file=home / "config.toml",
        data_dir=home / "data",
        cache_dir=home / "cache",
        log_file=home / "log" / "captiv.log",
    )


def _of_the_user() -> Paths:
    import platformdirs  # 50 ms, and of no use below CAPTIV_HOME

    folders = platformdirs.PlatformDirs("captiv", appauthor=False)
    return Paths(
        config_file=folders.user_config_path / "config.toml",
        data_dir=folders.user_data_path,
        cache_dir=folders.user_cache_path,
        log_file=folders.user_log_path / "captiv.log",
    )


def _absolute(path: str | Path) -> Path:
    """Absolute, but through symlinks as the person named them: messages show these names."""
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100  (resolve() would follow links)
