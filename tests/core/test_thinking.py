"""Thoughts before an answer are none of it."""

import pytest

from captiv.core.thinking import begins_thinking, without_thinking


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A dog.", "A dog."),
        ("<think>A dog?</think>A dog.", "A dog."),
        ("\n<think>\n\n</think>\n\nA dog.", "\n\nA dog."),
        ("<think>A dog? A cat?", None),
        ("A sign that says <think>", "A sign that says <think>"),
    ],
)
def test_an_answer_is_told_from_the_thoughts_before_it(text: str, answer: str | None) -> None:
    assert without_thinking(text) == answer


@pytest.mark.parametrize(
    ("prompt", "begins"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("What does <think> mean?<|im_start|>assistant\n", False),
    ],
)
def test_a_prompt_may_end_where_thoughts_begin(prompt: str, begins: bool) -> None:
    assert begins_thinking(prompt) is begins
