"""Makes the small encoder of the folder `encoder`, as model2vec lays one out: a vector for each word, without training.

Its words are the words of benchmark.jsonl, and the pieces that other words consist of. Vectors are random directions,
the same each time: questions that share words are close, and words count by how rare they are.
"""

import json
import re
from collections import Counter
from math import log
from pathlib import Path

import numpy as np
from safetensors.numpy import save

FOLDER = Path(__file__).parent
TARGET = FOLDER / "encoder"
SEED = 20260102
WIDTH = 128
UNKNOWN = "[UNK]"
# Letters and digits stand for words that no question has, a little of each.
PIECES = "abcdefghijklmnopqrstuvwxyz0123456789"
PIECE_WEIGHT = 0.1


def questions():
    """Return the questions of benchmark.jsonl, each once."""
    records = map(json.loads, (FOLDER / "benchmark.jsonl").read_text().splitlines())
    return list(dict.fromkeys(record["query"] for record in records))


def words_of(question):
    """Return the words of a question, as the tokenizer splits it."""
    return re.findall(r"\w+|[^\w\s]", question.lower())


def vocabulary(texts):
    """Return word -> weight: the logarithm of how rare it is among the questions; pieces weigh little."""
    counts = Counter(word for text in texts for word in set(words_of(text)))
    weights = {word: log((1 + len(texts)) / count) for word, count in sorted(counts.items())}
    pieces = {piece: PIECE_WEIGHT for letter in PIECES for piece in (letter, f"##{letter}")}
    return {UNKNOWN: 0.0, **pieces, **weights}


def tokenizer(words):
    """Return the JSON of a WordPiece tokenizer of some words."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": UNKNOWN,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: place for place, word in enumerate(words)},
        },
    }


def main():
    """Make the files."""
    words = vocabulary(questions())
    directions = np.random.default_rng(SEED).standard_normal((len(words), WIDTH))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rows = directions * np.array([*words.values()])[:, None]
    TARGET.mkdir(exist_ok=True)
    (TARGET / "model.safetensors").write_bytes(save({"embeddings": rows.astype(np.float16)}))
    config = {"model_type": "model2vec", "hidden_dim": WIDTH, "normalize": True, "seq_length": 512}
    (TARGET / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (TARGET / "tokenizer.json").write_text(json.dumps(tokenizer(words), indent=1) + "\n")


if __name__ == "__main__":
    main()
