"""Tells an answer from the thoughts that some models write before it. Pure."""

_BEGIN, _END = "<think>", "</think>"


def without_thinking(text: str) -> str | None:
    """Return the answer without the thoughts before it; None if it has nothing else."""
    if not text.lstrip().startswith(_BEGIN):
        return text
    _, ended, answer = text.partition(_END)
    return answer if ended else None


def begins_thinking(prompt: str) -> bool:
    """Whether a prompt, as the model reads it, ends where its thoughts begin."""
    return prompt.rstrip().endswith(_BEGIN)
