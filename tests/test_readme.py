"""Every command and snippet of the README runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
MODELPICK = [command for command in COMMANDS if command.startswith("modelpick ")]
# What the snippets load.
CONVERTED = [command for command in MODELPICK if command.startswith("modelpick convert models ")]
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "models", folder / "models")
    for command in CONVERTED:
        run(command, folder)
    return folder


def run(command, folder):
    subprocess.run(command, shell=True, cwd=folder, env=ENVIRONMENT, check=True, timeout=120)


def test_the_modelpick_commands_run_in_order(folder):
    for command in MODELPICK:
        if command not in CONVERTED:
            run(command, folder)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_python_snippets(snippet, folder):
    subprocess.run([sys.executable, "-c", snippet], cwd=folder, check=True, timeout=120)


def test_make_targets_exist_and_the_demo_runs():
    targets = [command.removeprefix("make ") for command in COMMANDS if command.startswith("make ")]
    makefile = (ROOT / "Makefile").read_text()
    assert set(targets) <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    demo = subprocess.run(
        [sys.executable, ROOT / "models/demo.py"], capture_output=True, text=True, check=True, timeout=120
    )
    assert demo.stdout.count("verified: 200 of 200") == 5


def test_every_command_is_covered():
    assert all(command.startswith(("make ", "modelpick ")) for command in COMMANDS)
