"""From the configuration file and the environment to typed settings, each with where it came from.

The environment goes before the file, the file before the default; an empty variable is none, unless
empty is a choice (`Key.empty`). An unknown key or a bad value in the file is an error that names
its line: a setting that is silently ignored costs more than one that is refused.
"""

import logging
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captiv.errors import ConfigurationError
from captiv.settings.keys import SECTIONS, Key, all_keys, find_key, suggestion
from captiv.settings.paths import Paths
from captiv.settings.schema import Settings

notice = logging.getLogger("captiv.notice")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: `default`, `file` and its line, `environment` and its variable."""

    kind: str = "default"
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind} ({self.where})" if self.where else self.kind


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and the origin of those that are not defaults."""

    settings: Settings
    origins: Mapping[str, Origin]

    def origin(self, key: Key) -> Origin:
        """Return where the value of `key` came from."""
        return self.origins.get(str(key), Origin())


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in the file, in words that follow its name and line."""

    line: int | None
    what: str
    hint: str

    def sentence(self, path: Path) -> str:
        """Return it with the name of the file and the line."""
        return f"{path}{f', line {self.line}' if self.line else ''}: {self.what}."


def load(paths: Paths | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this installation.

    Raises:
        ConfigurationError: the file or a variable is wrong; names file, line, key and choices.
    """
    return read(paths, environ).settings


def read(paths: Paths | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Return the settings with their origins; errors as `load`."""
    found = paths or Paths.find(environ=environ)
    values: dict[str, dict[str, Any]] = {}
    origins: dict[str, Origin] = {}
    for key, value, origin in _from_file(found):
        values.setdefault(key.section, {})[key.name] = value
        origins[str(key)] = origin
    for key, value, origin in _from_environment(os.environ if environ is None else environ):
        values.setdefault(key.section, {})[key.name] = value
        origins[str(key)] = origin
    return Loaded(Settings.model_validate(values), origins)


def parse_file(path: Path) -> tuple[str, dict[str, Any]] | None:
    """Return the file's text and its tables, or None if there is no file.

    Raises:
        ConfigurationError: it cannot be read, or is not TOML; names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _malformed(path, line, "it is not UTF-8 text") from error
    except OSError as error:
        raise ConfigurationError(
            f"The configuration file {path} cannot be read: {error.strerror or error}."
        ) from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"^(.*?) \(at (?:line (\d+)|end of document)", str(error), re.DOTALL)
        line = int(found[2]) if found and found[2] else text.rstrip("\n").count("\n") + 1
        raise _malformed(path, line, found[1] if found else "it is not TOML") from error


def problems(text: str, tables: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield everything that is wrong in a file, in no particular order."""
    for section, table in tables.items():
        if section not in SECTIONS:
            what = f"there is no section or key {section!r}"
            yield Problem(line_of(text, section), what, suggestion(section))
        elif not isinstance(table, dict):
            what = f"{section} is a section: write [{section}] above its keys"
            yield Problem(line_of(text, section), what, suggestion(section))
        else:
            yield from _problems_of(text, section, table)


def line_of(text: str, section: str, name: str | None = None) -> int | None:
    """Return the line of a section, or of a key in it, as a person would look for it."""
    inside = False
    wanted = re.compile(rf"""\s*["']?{re.escape(name or section)}["']?\s*=""")
    dotted = re.compile(rf"\s*{re.escape(section)}\s*\.\s*{re.escape(name or '')}")
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"""\s*\[+\s*["']?([^\]"']+?)["']?\s*\]""", line):
            inside = header[1] == section
            if inside and name is None:
                return number
            continue
        here = name is None or inside
        if (here and wanted.match(line)) or dotted.match(line):
            return number
    return None


def _problems_of(text: str, section: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in table.items():
        line = line_of(text, section, name)
        key = find_key(section, name)
        if key is None:
            what = f"there is no setting {section}.{name}"
            yield Problem(line, what, suggestion(section, name))
            continue
        try:
            key.parse(value)
        except ValueError as error:
            hint = f"{key.description} Right it by hand, or: captiv config unset {key}"
            yield Problem(line, f"{key} {error}", hint)


def _from_file(paths: Paths) -> Iterator[tuple[Key, Any, Origin]]:
    parsed = parse_file(paths.config_file)
    if parsed is None:
        _refuse_if_named(paths)
        return
    text, tables = parsed
    for problem in problems(text, tables):
        line = f", line {problem.line}" if problem.line else ""
        raise ConfigurationError(f"{paths.config_file}{line}: {problem.what}.", hint=problem.hint)
    for section, table in tables.items():
        for name, value in table.items():
            key = find_key(section, name)
            assert key is not None  # `problems` refused the others
            number = line_of(text, section, name)
            where = f"{paths.config_file.name}:{number}" if number else paths.config_file.name
            yield key, key.parse(value), Origin("file", where)
            if key.secret:
                _warn_if_open(paths.config_file)


def _refuse_if_named(paths: Paths) -> None:
    """Refuse to go on without a file that was asked for by name: the name is mistyped."""
    if paths.config_named:
        raise ConfigurationError(
            f"There is no configuration file {paths.config_file}.",
            hint="captiv config set makes it; without --config-file captiv uses its own.",
        )


def _warn_if_open(path: Path) -> None:
    if os.name != "nt" and path.stat().st_mode & 0o077:
        notice.warning("%s holds a secret and others can read it: chmod 600 %s", path, path)


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[Key, Any, Origin]]:
    for key in all_keys():
        for variable in key.variables:
            text = environ.get(variable)
            if text is None or not (text or key.empty):
                continue
            try:
                yield key, key.parse(text), Origin("environment", variable)
            except ValueError as error:
                raise ConfigurationError(
                    f"The environment variable {variable} {error}.", hint=key.description
                ) from error
            break


def _malformed(path: Path, line: int, why: str) -> ConfigurationError:
    reason = why[:1].lower() + why[1:]
    return ConfigurationError(
        f"{path}, line {line}: the file is not valid TOML: {reason}.",
        hint="Right that line by hand; captiv leaves the file as it is.",
    )
