"""From prompts to models: an encoder in front of a selector. Needs tokenizers, the extra ``text``."""

from .encoder import Encoder
from .selector import TextSelector
from .tokenizing import Tokens

__all__ = ["Encoder", "TextSelector", "Tokens"]
