"""What each command imports before it begins: nobody waits for what it does not need."""

import subprocess
import sys

from modelpick import converter
from modelpick.converter.cli import app as commands
from modelpick.converter.cli.app import COMMANDS, app

# Libraries that take long to import; pandas, scipy and pyarrow come with these.
SLOW = ["sklearn", "skl2onnx", "onnx", "torch", "matplotlib", "jinja2", "huggingface_hub", "fastapi"]
LEARNS = {"sklearn", "skl2onnx", "onnx"}
NEEDED = {
    "": set(),
    "select": set(),
    "pull": set(),
    "push": set(),
    "serve": set(),
    "records": set(),
    "restore": set(),
    "inspect": set(),
    "convert": LEARNS,
    "verify": LEARNS,
    "fit": LEARNS,
    "train": LEARNS,
    "add": LEARNS,
    "evaluate": LEARNS,
    "diff": LEARNS,
    "report": LEARNS,
    "simulate": LEARNS,
    "power": LEARNS,
    "encoder": {"onnx"},
    "compare-encoders": LEARNS,
}


def imported(code):
    """Run code in a new process: which of the slow libraries it imported."""
    code = f"{code}\nimport sys; print(*(set({SLOW}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    return set(done.stdout.split())


def made(*commands):
    """Make commands, as each does before it begins."""
    code = f"for command in {commands}: made(*command.split())"
    return imported(f"from modelpick.converter.cli.app import made\n{code}")


def test_commands_start_without_slow_libraries():
    assert made(*(command for command, needed in NEEDED.items() if not needed)) == set()


def test_an_encoder_is_made_without_what_learning_needs():
    assert made("encoder") == NEEDED["encoder"]


def test_commands_that_learn_import_what_learning_needs():
    assert made(*(command for command, needed in NEEDED.items() if needed == LEARNS)) <= LEARNS


def test_every_command_stands_in_the_table():
    assert NEEDED.keys() - {""} == COMMANDS.keys()
    assert [command.name for command in app.registered_commands] == list(COMMANDS)
    assert [command.name for command in commands.made("select").registered_commands] == ["select"]


def test_the_library_imports_what_is_used():
    assert imported("import modelpick.converter") == set()
    assert imported("from modelpick.converter import Semantics, VerificationError") <= LEARNS
    assert all(hasattr(converter, name) for name in converter.__all__)
    assert not hasattr(converter, "nothing")
