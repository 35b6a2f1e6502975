"""What each command imports before it begins: nobody waits for what it does not need."""

import subprocess
import sys

import pytest

from modelpick import converter
from modelpick.converter.cli.app import COMMANDS, app, made

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
    "convert": LEARNS,
    "verify": LEARNS,
    "restore": LEARNS,
    "inspect": LEARNS,
    "train": LEARNS,
    "evaluate": LEARNS,
    "diff": LEARNS,
    "report": LEARNS,
    "simulate": LEARNS,
    "encoder": LEARNS,
    "compare-encoders": LEARNS,
}


def imported(code):
    """Run code in a new process: which of the slow libraries it imported."""
    code = f"import sys; {code}; print(*(set({SLOW}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


# Of the commands of one module, one is as good as all.
@pytest.mark.parametrize("command", ["", *{module: command for command, module in COMMANDS.items()}.values()])
def test_a_command_imports_what_it_needs(command):
    assert imported(f"from modelpick.converter.cli.app import made; made(*{command!r}.split())") <= NEEDED[command]


def test_every_command_stands_in_the_table():
    assert NEEDED.keys() - {""} == COMMANDS.keys()
    assert [command.name for command in app.registered_commands] == list(COMMANDS)
    assert [command.name for command in made("select").registered_commands] == ["select"]


def test_the_library_imports_what_is_used():
    assert imported("import modelpick.converter") == set()
    assert imported("from modelpick.converter import Semantics, VerificationError") <= LEARNS
    assert all(hasattr(converter, name) for name in converter.__all__)
    assert not hasattr(converter, "nothing")
