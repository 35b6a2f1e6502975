"""Prompts in, models out: an encoder beside a selector. Needs tokenizers, the extra ``text``."""

from .encoder import Encoder, Tokens
from .selector import TextSelector

__all__ = ["Encoder", "TextSelector", "Tokens"]
