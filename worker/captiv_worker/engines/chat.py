"""Drives chat models that see: JoyCaption and other LLaVAs, Qwen-VL, SmolVLM.

A batch shares one prompt. Where its images have different numbers of tokens, shorter rows are
filled up on the left, and the filling is kept from attention, positions and penalties; the batcher
lets rows of about one length come together.

The text is the checkpoint's own template: where the image stands, what begins a text and what ends
an answer. What the template does not say is taken from no other place, but checked on loading.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from captiv.core.thinking import begins_thinking, without_thinking
from captiv.errors import ImageUnreadable, ModelError, WorkerRejected
from captiv_worker.engines.checkpoint import read_part
from captiv_worker.engines.checks import always_thinks, check_turn_ends
from captiv_worker.engines.dialects import DIALECTS, Dialect, Unfit, pillow_only, same
from captiv_worker.engines.spec import Answer, EngineItem, EngineSpec, Failure, Kin, Outcome
from captiv_worker.engines.transformer import Asked, Places, TransformerEngine

_PROBE = "What is in this picture?"
_SHAPES = ((64, 48), (48, 80), (400, 60), (33, 33), (30, 310))
"""Sizes for which the image tokens that are foretold are compared with those that come."""


class ChatEngine(TransformerEngine):
    """A chat model, asked with its own template."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__(spec)
        self._dialect = self.dialect()
        self._in_parts = True
        self._begins = False
        self._texts: dict[str | None, str] = {}

    # What the worker calls

    def kin(self, item: EngineItem) -> Kin:
        """Return the prompt, and the number of image tokens, which may differ."""
        try:
            return Kin(item.prompt, self._image_tokens(item.image), fills_up=True)
        except Unfit:
            return Kin(item.prompt)

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        """Return one outcome an item; an image that the model cannot read fails alone."""
        refused = {n: why for n, item in enumerate(items) if (why := self._refusal(item))}
        fit = [item for n, item in enumerate(items) if n not in refused]
        answers = iter(super().caption(fit) if fit else ())
        return [refused[n] if n in refused else next(answers) for n in range(len(items))]

    # What is particular to chat models

    def dialect(self) -> Dialect:
        """Return what is particular to this kind of chat model."""
        return DIALECTS[self.architecture.model_type]

    def read_processor(self) -> Any:
        """Return the processor, which needs no torchvision."""
        return read_part("processor", self.path, self._read_processor)

    def _read_processor(self) -> Any:
        transformers = self.runtime.transformers
        processor = self._dialect.read_processor(transformers, self.path)
        return pillow_only(processor, transformers, self.path)

    @property
    def begin_token(self) -> int | None:
        """The token that begins a text, if this model has one.

        A template and a tokenizer that both add it make two, which costs quality in silence.
        """
        return int(self.tokenizer.bos_token_id) if self._begins else None

    def image_places(self, inputs: Any) -> Places:
        """Return the image tokens of each prompt, and how many image features the model makes."""
        return Places(
            self.image_tokens_in(inputs), self._dialect.features(self.model.config, inputs)
        )

    def image_tokens_in(self, inputs: Any) -> list[int]:
        """Return how many image tokens each prompt has."""
        found = inputs["input_ids"] == self.model.config.image_token_id
        return [int(count) for count in found.sum(dim=1)]

    def prepare(self) -> None:
        """Bring processor and model in line, and find out how the template takes its content."""
        super().prepare()
        self._dialect.settle(self.processor, self.model.config, self.path)
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        if self.model.generation_config.pad_token_id is None:
            self.model.generation_config.pad_token_id = self.tokenizer.pad_token_id
        self._in_parts = self._takes_parts()
        self._begins = self._has_beginning()
        if begins_thinking(self._text(_PROBE)):
            raise always_thinks(self.path)

    def check(self) -> None:
        """Refuse, besides, a template whose turns end otherwise than answers do."""
        super().check()
        check_turn_ends(self._after_answer(), self.ends)
        self._check_foretold()

    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return the template's texts and the images, as the model takes them."""
        inputs = self.processor(
            text=[self._text(prompt) for prompt in prompts],
            images=self._dialect.given(images),
            padding=True,
            return_tensors="pt",
            add_special_tokens=self._adds_beginning(),
        )
        given = inputs["input_ids"].shape[1]
        positions = self.model.config.get_text_config(decoder=True).max_position_embeddings
        return Asked(inputs, echoed=given, room=positions - given)

    def outcome(self, answer: Answer) -> Answer:
        """Return the answer without thoughts; one that has nothing else was cut off."""
        text = without_thinking(answer.text)
        if text is None:
            return replace(answer, text="", finish="length")
        return replace(answer, text=text.strip())

    # Texts

    def _text(self, prompt: str | None) -> str:
        """Return what the template makes of a prompt; the same prompt comes thousands of times."""
        if prompt not in self._texts:
            if len(self._texts) >= 256:
                self._texts.clear()
            self._texts[prompt] = self._rendered(prompt, in_parts=self._in_parts)
        return self._texts[prompt]

    def _rendered(self, prompt: str | None, *, in_parts: bool, answer: str | None = None) -> str:
        turns: list[dict[str, Any]] = []
        if self.spec.system:
            turns.append({"role": "system", "content": _content(self.spec.system, in_parts)})
        turns.append({"role": "user", "content": _content(prompt or "", in_parts, image=True)})
        if answer is not None:
            turns.append({"role": "assistant", "content": _content(answer, in_parts)})
        # transformers complains of a setting that the template doesn't read.
        reads = "enable_thinking" in str(self.processor.chat_template)
        more = {"enable_thinking": False} if reads else {}
        text: str = self.processor.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=answer is None, **more
        )
        return text

    def _takes_parts(self) -> bool:
        """Whether the template takes content in parts, image and text, or puts the image itself.

        Raises:
            ModelError: a prompt, the system prompt or the image does not come through once.
        """
        for in_parts in (True, False):
            try:
                text = self._rendered(_PROBE, in_parts=in_parts)
            except Exception:  # templates raise what they like for content not theirs
                continue
            if self._comes_through(text):
                return in_parts
        raise ModelError(
            f"The chat template in {self.path} does not put one image and one text into a prompt.",
            hint="It is not of this model, or damaged: fetch the model again.",
        )

    def _comes_through(self, text: str) -> bool:
        once = [_PROBE, self.processor.image_token]
        if self.spec.system:
            once.append(self.spec.system)
        return all(text.count(part) == 1 for part in once) and "'type'" not in text

    def _has_beginning(self) -> bool:
        """Whether texts of this model begin with a token: its template's, or its tokenizer's."""
        begin = self.tokenizer.bos_token_id
        if begin is None:
            return False
        text = self._rendered(_PROBE, in_parts=self._in_parts)
        return begin in self.tokenizer(text)["input_ids"][:1]

    def _adds_beginning(self) -> bool:
        """Whether the tokenizer has to add it, because the template does not."""
        begin = self.tokenizer.bos_token
        return self._begins and not self._text(None).startswith(begin)

    def _after_answer(self) -> list[int]:
        """Return the tokens that the template puts after an answer."""
        text = self._rendered(_PROBE, in_parts=self._in_parts, answer="An answer.")
        after = text.rpartition("An answer.")[2].lstrip()
        ids: list[int] = self.tokenizer(after, add_special_tokens=False)["input_ids"]
        return [i for i in ids[:1] if i in self.tokenizer.added_tokens_decoder]

    # Images

    def _image_tokens(self, image: Image.Image) -> int:
        return self._dialect.image_tokens(self.processor, self.model.config, image.size)

    def _refusal(self, item: EngineItem) -> Failure | None:
        """Return why this item cannot be captioned, if so."""
        if self._text(item.prompt).count(self.processor.image_token) != 1:
            token = self.processor.image_token
            return Failure(
                WorkerRejected.code, f"The prompt holds {token}, which stands for the image."
            )
        try:
            self._image_tokens(item.image)
        except Unfit as error:
            return Failure(ImageUnreadable.code, str(error))
        return None

    def _check_foretold(self) -> None:
        """Refuse a processor that makes other numbers of tokens than batches are formed by."""
        images = [Image.new("RGB", size, (128, 128, 128)) for size in _SHAPES]
        for image in images:
            found = self.image_tokens_in(self.ask([image], [_PROBE]).inputs)[0]
            same("tokens for an image", found, self._image_tokens(image), self.path)


def _content(text: str, in_parts: bool, *, image: bool = False) -> Any:
    if not in_parts:
        return text
    parts: list[dict[str, str]] = [{"type": "image"}] if image else []
    return [*parts, {"type": "text", "text": text}] if text else parts
