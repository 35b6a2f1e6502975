"""What is released: every package of the source, one version, and a changelog."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from modelpick import __version__

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
LOCKED = (ROOT / "requirements.txt").read_text()
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
# Data alone, but a folder that Python could import: setuptools warns at length unless it is listed.
TEMPLATES = "modelpick.converter.report.templates"
FOLDERS = {name: ROOT / folder for name, folder in SETUPTOOLS["package-dir"].items()}


def packages():
    """Return the name of every package that is there -> its folder."""
    return {
        ".".join((name, *init.parent.relative_to(folder).parts)): init.parent
        for name, folder in FOLDERS.items()
        for init in folder.rglob("__init__.py")
    }


def test_every_package_is_listed():
    assert sorted(SETUPTOOLS["packages"]) == sorted([*packages(), TEMPLATES])


def test_every_folder_with_modules_is_a_package():
    holding = {file.parent for folder in FOLDERS.values() for file in folder.rglob("*.py")}
    assert holding == set(packages().values())


@pytest.mark.skipif(not (find_spec("build") and find_spec("setuptools")), reason="needs build and setuptools")
def test_every_module_is_in_the_wheel(tmp_path):
    source = tmp_path / "source"
    for folder in FOLDERS.values():
        shutil.copytree(folder, source / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    expected = {
        f"{name.replace('.', '/')}/{file.relative_to(folder)}"
        for name, folder in FOLDERS.items()
        for file in [*folder.rglob("*.py"), *folder.rglob("templates/*"), folder / "py.typed"]
    }
    inside = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == expected


def test_the_version_stands_in_one_place():
    assert version("modelpick") == __version__
    known = {ROOT / "package/__init__.py", ROOT / "CHANGELOG.md", ROOT / "CITATION.cff"}
    searched = [*ROOT.glob("[!.]*.*"), ROOT / "Makefile"]  # not docs/, whose measurements name what was measured
    searched += [file for folder in FOLDERS.values() for file in folder.rglob("*.py")]
    literal = re.compile(rf"(?<![\d.]){re.escape(__version__)}(?![\d.])")
    assert {file for file in searched if file.is_file() and literal.search(file.read_text())} <= known


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^version: {re.escape(__version__)}$", citation, re.MULTILINE)
    released = re.search(
        rf"^## \[{re.escape(__version__)}\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert f"date-released: {released[1]}" in citation


def test_what_releases_is_pinned_and_keeps_no_token():
    workflow = (ROOT / ".github/workflows/release.yml").read_text()
    assert len(re.findall(r"uses: [\w/-]+@[0-9a-f]{40} # v\d", workflow)) == workflow.count("uses:") > 4
    assert "secrets." not in workflow
    assert set(re.findall(r"make ([\w-]+)", workflow)) <= set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))


def test_a_release_names_where_it_comes_from_and_has_the_tag_of_its_version(tmp_path):
    for name in ("Makefile", "pyproject.toml", "CHANGELOG.md", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "package", tmp_path / "package")

    def make(*arguments):
        return subprocess.run(["make", "-s", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=600)

    assert make("urls").returncode == 2
    assert make("urls", "REPOSITORY=https://example.org/modelpick").returncode == 0
    urls = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Repository"] == "https://example.org/modelpick"
    assert set(urls) == {"Repository", "Documentation", "Changelog", "Issues"}
    assert make("release-tag", f"TAG=v{__version__}").returncode == 0
    wrong = make("release-tag", "TAG=v9.9.9")
    assert (wrong.returncode, wrong.stdout) == (2, f"expected the tag v{__version__}, got v9.9.9\n")


KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_the_changelog_is_one_by_keep_a_changelog():
    head, *releases = (ROOT / "CHANGELOG.md").read_text().split("\n## ")
    assert head.startswith("# Changelog\n")
    titles = [release.partition("\n")[0] for release in releases]
    assert titles[0] == "[Unreleased]"
    dated = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})", title) for title in titles[1:]]
    assert all(dated)
    numbers = [tuple(map(int, title.groups()[:3])) for title in dated]
    assert numbers == sorted(numbers, reverse=True)
    assert __version__ in {".".join(map(str, number)) for number in numbers}
    for release in releases:
        kinds = re.findall(r"^### (.*)$", release, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds], "each once, in this order"
        for part in release.split("\n### ")[1:]:
            entries = part.partition("\n\n")[2].strip().splitlines()
            assert entries
            assert all(line.startswith(("- ", "  ")) for line in entries), "one list, without gaps"


def test_every_dependency_of_the_tests_is_locked():
    lines = re.findall(
        r"^([\w.-]+)==(\S+)(?: ; [^\\]*)? \\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)+)", LOCKED, re.MULTILINE
    )
    assert len(lines) == len(re.findall(r"^[\w.-]+==", LOCKED, re.MULTILINE)), "each has hashes"
    versions = {}
    for name, number, _ in lines:
        versions.setdefault(name, []).append(number)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras, needed = project["optional-dependencies"], ["modelpick[converter,dev]"]
    for requirement in map(Requirement, needed):
        if requirement.name == "modelpick":
            needed += [*project["dependencies"], *(line for extra in requirement.extras for line in extras[extra])]
        else:
            assert all(requirement.specifier.contains(number) for number in versions[requirement.name]), requirement
