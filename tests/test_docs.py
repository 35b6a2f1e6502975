"""What README.md and docs/ say is true: commands and snippets run, links lead somewhere, tables are measured."""

import re
import subprocess
import sys
from importlib.util import find_spec
from os.path import normpath
from pathlib import Path

import pytest
import typer

import modelpick.converter
import modelpick.runtime
import modelpick.runtime.text
from modelpick.converter.cli.app import app
from modelpick.runtime import schema
from support.attacks import attack
from support.command import Done, snippet
from support.command import modelpick as run_here
from support.pages import EVERY_PAGE, MAKEFILE, ROOT, run_page, steps

sys.path += [str(ROOT / "benchmarks"), str(ROOT / "docs")]
import hooks
from tables import BLOCK, PAGES, TABLES, filled


def name(page):
    return str(page.relative_to(ROOT))


def python(folder, code):
    outcome = attack(snippet, folder, code, seconds=60)
    return Done(int(outcome.kind != "answered"), outcome.what, f"{outcome.what}\n{outcome.output}")


@pytest.mark.parametrize("page", [page for page in PAGES if steps(page)], ids=name)
def test_every_command_and_snippet_runs(page, tmp_path):
    run_page(page, tmp_path, run_here, python)


def test_the_demo_verifies_every_model_and_ends_with_a_pick_for_a_question_and_what_to_read():
    demo = python(ROOT, (ROOT / "models/demo.py").read_text().replace("__file__", repr(str(ROOT / "models/demo.py"))))
    assert demo.returncode == 0, demo.stderr
    assert demo.stdout.count("200 of 200") == 6
    steps, read_next = demo.stdout.split("\nRead next:\n")
    pages = [line.split()[0] for line in read_next.splitlines()]
    assert [page for page in pages if not (ROOT / page).is_file()] == []
    command, pick = steps.splitlines()[-2:]
    assert command.startswith("$ modelpick select text/kernel_ridge_model.onnx --encoder encoder.onnx 'How do I ")
    assert pick == "codellama-7b"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [target for target in targets if not target.startswith(("https://", "http://", "mailto:"))]
    files = [normpath(page.parent / target) for target in local]
    assert [file for file in files if not Path(file).exists() and file != str(ROOT / "docs" / hooks.COMMAND)] == []


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name)
def test_commands_in_the_text_have_these_options(page):
    commands = typer.main.get_command(app).commands
    for words in re.findall(r"`modelpick (\w[^`]*)`", page.read_text()):
        command, *rest = words.split()
        options = {option for parameter in commands[command].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= options, words


def options(command):
    """Return the names in lower case: typer 0.20 writes an argument's in capitals, without its help."""
    return {name.lower() for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_the_reference_lists_every_command_and_option():
    page = hooks.command_page()
    for command, described in zip(typer.main.get_command(app).commands.values(), page.split("\n## ")[1:], strict=True):
        assert described.startswith(f"{command.name}\n")
        rows = re.findall(r"^\| `(.+?)` \| (.*)\|$", described, re.MULTILINE)
        words = set(re.findall(r"[\w-]+", " ".join(names for names, _ in rows).lower()))
        assert {name for name in options(command) if name not in words} == set()


PACKAGES = (modelpick.runtime, modelpick.runtime.text, modelpick.converter)
REFERENCE = "\n".join(page.read_text() for page in (ROOT / "docs/reference").glob("*.md"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda it: it.__name__)
def test_the_reference_has_every_public_name(package):
    described = set(re.findall(rf"^::: {package.__name__}\.(\w+)$", REFERENCE, re.MULTILINE))
    former = set(re.findall(r"^`(\w+)` is the former name of", REFERENCE, re.MULTILINE))
    assert set(package.__all__) - described - former == set()


def test_every_page_has_one_place_in_the_navigation():
    navigation = re.findall(r"^ +- (?:.*: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES if ROOT / "docs" in page.parents]
    pages += [home for home in hooks.HOMES.values() if home.endswith(".md")]
    assert set(navigation) >= {*pages, hooks.COMMAND}
    assert len(set(navigation)) == len(navigation)


@pytest.mark.skipif(not find_spec("mkdocs"), reason="needs the extra docs")
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    pages = "".join(page.read_text() for page in (tmp_path / "reference").rglob("*.html"))
    for package in PACKAGES:
        shown = set(re.findall(rf'id="{package.__name__}\.(\w+)"', pages))
        assert set(package.__all__) <= shown


def test_workflows_make_what_can_be_made():
    workflows = "".join(file.read_text() for file in (ROOT / ".github/workflows").glob("*.yml"))
    steps = re.findall(r"- run: make (.*)", workflows)
    made = {word for step in steps for word in step.split() if "=" not in word}
    assert made >= {"lint", "test", "test-packages", "test-docs", "docs", "release-check"}
    assert made <= set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tables_are_the_measured_ones(page):
    assert filled(page.read_text()) == page.read_text(), "run make bench-tables"


def test_every_measured_table_is_shown():
    assert {block[2] for page in PAGES for block in BLOCK.finditer(page.read_text())} == set(TABLES)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 80


@pytest.mark.parametrize(
    "namespace", [schema.Entry, schema.Input, schema.Output, schema.Metric], ids=lambda it: it.__name__
)
def test_the_artifact_page_mentions_every_name(namespace):
    page = (ROOT / "docs/artifact.md").read_text()
    assert {name for name in schema.names(namespace) if f"`{name}`" not in page} == set()


def test_the_page_of_encoders_mentions_every_name():
    page = (ROOT / "docs/encoders.md").read_text()
    names = schema.names(schema.EncoderEntry) + schema.names(schema.EncoderPort)
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_the_client_in_javascript_knows_no_other_names():
    client = (ROOT / "examples/node/select.mjs").read_text()
    patterns = (r'"([a-z]\w*)"', r"metadata\.(\w+)", r"\.(\w+)\.data", r"again\.(\w+)")
    used = {word for pattern in patterns for word in re.findall(pattern, client)}
    used |= {word for words in re.findall(r"const \{([\w, ]+)\} =", client) for word in re.findall(r"\w+", words)}
    names = set().union(*map(schema.names, (schema.Entry, schema.Input, schema.Output, schema.Table)))
    assert {"quality_weight", "certified", "distinct"} <= used & names
    # The others are names of version 1, and words of JavaScript.
    assert used - names == {"contract", "kept", "float64", "hex", "int64", "utf8"}
