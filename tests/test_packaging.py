"""Every package of the source is in the wheel."""

import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {name: ROOT / folder for name, folder in SETUPTOOLS["package-dir"].items()}


def packages():
    """Return the name of every package that is there -> its folder."""
    return {
        ".".join((name, *init.parent.relative_to(folder).parts)): init.parent
        for name, folder in FOLDERS.items()
        for init in folder.rglob("__init__.py")
    }


def test_every_package_is_listed():
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages())


def test_every_folder_with_modules_is_a_package():
    holding = {file.parent for folder in FOLDERS.values() for file in folder.rglob("*.py")}
    assert holding == set(packages().values())


@pytest.mark.skipif(not find_spec("build"), reason="needs build")
def test_every_module_is_in_the_wheel(tmp_path):
    source = tmp_path / "source"
    for folder in FOLDERS.values():
        shutil.copytree(folder, source / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    expected = {
        f"{name.replace('.', '/')}/{file.relative_to(folder)}"
        for name, folder in FOLDERS.items()
        for file in [*folder.rglob("*.py"), *folder.rglob("templates/*"), folder / "py.typed"]
    }
    inside = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == expected
