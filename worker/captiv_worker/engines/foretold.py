"""The exact text of a prompt, and how many tokens it has, before a server has seen it.

The text is what the checkpoint's own chat template makes, as in the chat engine, with the model's
image token at its place. It needs jinja2 and tokenizers, and no transformers: vLLM's environment
has another version of that than captiv's engines want.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from captiv.core.thinking import begins_thinking
from captiv.errors import HostUnfit, ModelError
from captiv_worker.models import read_config

_JOINED = """\
{%- set turns = namespace(all=[]) -%}
{%- for message in messages -%}
{%- set said = namespace(text="") -%}
{%- for part in message["content"] if part["type"] == "text" -%}
{%- set said.text = said.text + part["text"] -%}
{%- endfor -%}
{%- set turns.all = turns.all + [{"role": message["role"], "content": said.text}] -%}
{%- endfor -%}
{%- set messages = turns.all -%}
"""
"""Makes one text of the parts of a turn, for a template that puts the image itself."""
_PROBE = "What is in this picture?"
_KEPT = 256
_THINKING = "enable_thinking"
"""By this setting a template has the model think, or not, if it reads it."""
_MARKS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")


@dataclass(frozen=True, slots=True)
class Foretold:
    """One prompt as the model reads it."""

    text: str
    """With the image token once, which the model replaces by those of the picture."""
    tokens: int
    """Of the text, the image token not counted."""


class Prompts:
    """Makes the prompts of one checkpoint."""

    def __init__(self, path: Path, system: str) -> None:
        """Read the template and the tokenizer.

        Raises:
            ModelError: files are missing, or the template does not put an image into a prompt.
            HostUnfit: packages are missing.
        """
        self._path = path
        self._system = system
        self._tokenizer = _tokenizer(path)
        self._marks = _marks(path)
        self._source = _template(path)
        self._template = _compiled(self._source, path)
        self.image_token = self._image_token()
        self._in_parts = self._takes_parts()
        self._begin = self._missing_beginning()
        self._kept: dict[str | None, Foretold | None] = {}

    def of(self, prompt: str | None) -> Foretold | None:
        """Return what the template makes of a prompt; None if that has not one image token."""
        if prompt not in self._kept:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[prompt] = self._foretold(prompt)
        return self._kept[prompt]

    @property
    def begin_thinking(self) -> bool:
        """Whether the model starts every answer to these prompts with its thoughts."""
        return begins_thinking(self._rendered(_PROBE, in_parts=self._in_parts))

    def for_chat(self) -> str:
        """Return a chat template for a server that is given image and text in parts.

        vLLM begins no text by itself, and writes `<image>` into one for a template that takes
        texts. With this one (and `--chat-template-content-format openai`) its chat route makes the
        prompts that are foretold here.
        """
        joined = "" if self._in_parts else _JOINED.replace("\n", "")
        quick = "{%- set enable_thinking = false -%}" if _THINKING in self._source else ""
        return f"{joined}{quick}{{{{ {json.dumps(self._begin)} }}}}{self._source}"

    def _foretold(self, prompt: str | None) -> Foretold | None:
        text = self._begin + self._rendered(prompt, in_parts=self._in_parts)
        if text.count(self.image_token) != 1:
            return None
        return Foretold(text, len(self._ids(text)) - 1)

    def _ids(self, text: str, *, marked: bool = False) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=marked).ids
        return ids

    def _image_token(self) -> str:
        config = read_config(self._path)
        number = config.get("image_token_id", config.get("image_token_index"))
        token = None if number is None else self._tokenizer.id_to_token(number)
        if token is None:
            raise ModelError(f"{self._path} names no image token that its tokenizer has.")
        return str(token)

    def _rendered(self, prompt: str | None, *, in_parts: bool) -> str:
        turns: list[dict[str, Any]] = []
        if self._system:
            turns.append({"role": "system", "content": _content(self._system, in_parts)})
        turns.append({"role": "user", "content": _content(prompt or "", in_parts, image=True)})
        text: str = self._template.render(
            messages=turns,
            tools=None,
            documents=None,
            add_generation_prompt=True,
            **self._marks,
            **{_THINKING: False},
        )
        return text

    def _takes_parts(self) -> bool:
        """Whether the template takes content in parts, image and text, or puts the image itself."""
        once = [_PROBE, self.image_token, *filter(None, [self._system])]
        for in_parts in (True, False):
            try:
                text = self._rendered(_PROBE, in_parts=in_parts)
            except Exception:
                continue
            if all(text.count(part) == 1 for part in once) and "'type'" not in text:
                return in_parts
        raise ModelError(
            f"The chat template in {self._path} does not put one image and one text into a prompt.",
            hint="It is not of this model, or damaged: fetch the model again.",
        )

    def _missing_beginning(self) -> str:
        """Return what begins a text of this model and its template leaves to the tokenizer."""
        begin = self._marks.get("bos_token")
        text = self._rendered(_PROBE, in_parts=self._in_parts)
        if begin is None or text.startswith(begin):
            return ""
        begins = self._ids(text, marked=True)[:1] == [self._tokenizer.token_to_id(begin)]
        return begin if begins else ""


def _content(text: str, in_parts: bool, *, image: bool = False) -> Any:
    if not in_parts:
        return text
    parts: list[dict[str, str]] = [{"type": "image"}] if image else []
    return [*parts, {"type": "text", "text": text}] if text else parts


def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing_packages() from error
    try:
        return Tokenizer.from_file(str(path / "tokenizer.json"))
    except Exception as error:  # the library raises Exception itself
        raise ModelError(
            f"{path} holds no tokenizer.json that can be read.",
            hint="--engine transformers may read its other files.",
        ) from error


def missing_packages() -> HostUnfit:
    """Return what is said where the packages are missing that foretell prompts."""
    return HostUnfit(
        "vLLM is driven with jinja2 and tokenizers, which are not installed beside the worker.",
        hint="Install them: pip install jinja2 tokenizers",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged.", hint="Fetch the model again.") from error
    return dict(found)


def _template(path: Path) -> str:
    """Return the chat template, from wherever transformers would take it."""
    own = path / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        found = _read(path / name).get("chat_template")
        if isinstance(found, list):
            found = {t["name"]: t["template"] for t in found}.get("default")
        if isinstance(found, str):
            return found
    raise ModelError(f"{path} has no chat template.", hint="Fetch the model again.")


def _marks(path: Path) -> dict[str, str]:
    """Return the special tokens that a template may name."""
    told = _read(path / "special_tokens_map.json") | _read(path / "tokenizer_config.json")
    found = {name: told.get(name) for name in _MARKS}
    texts = {n: t.get("content") if isinstance(t, dict) else t for n, t in found.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _compiled(template: str, path: Path) -> Any:
    """Return the template in the environment that transformers gives it."""
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise missing_packages() from error

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise ModelError(
            f"The chat template in {path} cannot be read: {error}.",
            hint="--engine transformers may read it.",
        ) from error


def _tojson(value: Any, indent: int | None = None) -> str:
    """Return JSON as it is; jinja2's own would escape it for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
