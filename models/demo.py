"""From sample models and recorded answers to the model for a typed question, command by command; run by `make demo`."""

import contextlib
import json
import shlex
import tempfile
from pathlib import Path

from modelpick.converter.cli.app import app

MODELS = Path(__file__).parent
# Of this many questions one is held out: selectors are not judged on what they were trained on.
PART = 5
SELECT = "select text/kernel_ridge_model.onnx --encoder encoder.onnx"
STEPS = [
    ("Convert sample models; each artifact is compared with scikit-learn.", "convert models -o artifacts"),
    ("Pick for eight sample queries.", "select artifacts/knn.onnx models/queries.jsonl"),
    ("Make one file of a text encoder.", "encoder models/encoder -o encoder.onnx"),
    (
        "Train on four of five questions, embedded by it; a classifier of their categories comes along.",
        "train --data learned.jsonl -o trained --encoder encoder.onnx --algorithm kernel_ridge --tune",
    ),
    ("Convert what was trained.", "convert trained/kernel_ridge_model.json -o text"),
    (
        "Judge it on the others: only twelve, made by the same templates, with simulated answers.",
        "evaluate text/kernel_ridge_model.onnx --data held_out.jsonl --encoder encoder.onnx --predict-category",
    ),
    ("Ask.", f"{SELECT} 'How do I solve the equation 7x + 2 = 30?'"),
    ("Ask again.", f"{SELECT} 'How do I plan a rainy weekend?'"),
    ("And again.", f"{SELECT} 'How do I write a function that reverses a list?'"),
]
NEXT = """
Read next:
  README.md          the same from Python, and what a service needs
  docs/tutorial.md   the same with records of your own
  docs/ci.md         models that are converted, verified and judged on every change"""


def split(folder):
    """Write the records of every fifth question apart from the others."""
    lines = (MODELS / "benchmark.jsonl").read_text().splitlines(keepends=True)
    questions = [json.loads(line)["query"] for line in lines]
    held_out = set(list(dict.fromkeys(questions))[::PART])
    for name, is_in in (("held_out.jsonl", True), ("learned.jsonl", False)):
        chosen = [line for line, question in zip(lines, questions, strict=True) if (question in held_out) == is_in]
        (folder / name).write_text("".join(chosen))


def main():
    """Run the steps in a folder of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").symlink_to(MODELS.resolve())
        split(folder)
        with contextlib.chdir(folder):
            for says, command in STEPS:
                print(f"\n{says}\n$ modelpick {command}", flush=True)
                if code := app(shlex.split(command), standalone_mode=False):
                    raise SystemExit(code)
    print(NEXT)


if __name__ == "__main__":
    main()
