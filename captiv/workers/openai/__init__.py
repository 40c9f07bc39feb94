"""A server of one's own: any that speaks OpenAI's chat protocol and sees images.

vLLM, llama.cpp, LM Studio, Ollama and `transformers serve` do. It is fed by the same lane as a
worker of captiv's, and differs in three things: it tells no permits, so captiv finds out how many
images it takes (`pace`); it has no keys, so that an answer lost on the way is computed again; and
it has its own names for models (`served`).
"""

from captiv.workers.openai.client import OpenAiClient, served_models
from captiv.workers.openai.served import Wanted
from captiv.workers.openai.source import Asking, OpenAiServer

__all__ = ["Asking", "OpenAiClient", "OpenAiServer", "Wanted", "served_models"]
