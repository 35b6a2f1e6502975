"""What README.md and docs/ say is true: commands and snippets run, links lead somewhere, tables are measured."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from os import environ
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from modelpick.converter.cli.app import app
from modelpick.runtime import schema

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # behind tests/, whose reference.py is another
from tables import BLOCK, PAGES, TABLES, filled  # noqa: E402

EVERY_PAGE = [*PAGES, *ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
EVERY_PAGE = sorted({page for page in EVERY_PAGE if not page.relative_to(ROOT).parts[0].startswith(".")})
MAKEFILE = (ROOT / "Makefile").read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()
ENVIRONMENT = {
    **environ,
    "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}",
    "GITHUB_STEP_SUMMARY": "summary.md",
}


def name(page):
    return str(page.relative_to(ROOT))


class Step(NamedTuple):
    """Something to run, and what it must print, if the page says so."""

    language: str
    code: str
    printed: str | None = None


def steps(page):
    """Return the steps of a page in order: commands of sh blocks and of workflows, and Python snippets."""
    found = []
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if language == "sh":
            found += [Step("sh", line) for line in code.splitlines()]
        elif language == "yaml":
            found += [Step("sh", line) for line in re.findall(r"- run: (.*)", code)]
        elif language == "python":
            found.append(Step("python", code))
        elif language == "text" and found:
            found[-1] = found[-1]._replace(printed=code)
    return found


def check_install(extras):
    known = re.findall(r"^([a-z]+) = \[", PYPROJECT.partition("[project.optional-dependencies]")[2], re.MULTILINE)
    assert set(re.findall(r"\w+", extras)) <= set(known)


def run(step, folder):
    """Run a step in a folder; what installs or makes is only checked to be there: `make test` itself runs this."""
    if installed := re.fullmatch(r"pip install '?(?:\.|modelpick)(?:\[(.*)\])?'?", step.code):
        return check_install(installed[1] or "")
    if made := re.fullmatch(r"make ([\w-]+)", step.code):
        assert re.search(rf"^{made[1]}:", MAKEFILE, re.MULTILINE), step.code
        return None
    command = [sys.executable, "-c", step.code] if step.language == "python" else ["bash", "-c", step.code]
    assert step.language == "python" or step.code.startswith("modelpick "), f"how is this checked? {step.code}"
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{step.code}\n{done.stderr}"
    if step.printed is not None:
        assert done.stdout == step.printed, step.code
    return None


@pytest.mark.parametrize("page", [page for page in PAGES if steps(page)], ids=name)
def test_every_command_and_snippet_runs(page, tmp_path):
    for branch in (tmp_path, tmp_path / "base"):  # the workflow compares with the branch that is merged into
        shutil.copytree(ROOT / "models", branch / "models")
    for step in steps(page):
        if "import ray" not in step.code or find_spec("ray"):
            run(step, tmp_path)


def test_the_demo_verifies_every_model_and_ends_with_a_pick_for_a_question():
    command = [sys.executable, ROOT / "models/demo.py"]
    demo = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert demo.stdout.count("200 of 200") == 6
    command, pick = demo.stdout.splitlines()[-2:]
    assert command.startswith("$ modelpick select text/kernel_ridge.onnx --encoder encoder.onnx 'How do I ")
    assert pick == "codellama-7b"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [target for target in targets if not target.startswith(("https://", "http://", "mailto:"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name)
def test_commands_in_the_text_have_these_options(page):
    commands = typer.main.get_command(app).commands
    for words in re.findall(r"`modelpick (\w[^`]*)`", page.read_text()):
        command, *rest = words.split()
        options = {option for parameter in commands[command].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= options, words


def test_workflows_make_what_can_be_made():
    (workflow,) = (ROOT / ".github/workflows").glob("*.yml")
    made = {target for targets in re.findall(r"- run: make (.*)", workflow.read_text()) for target in targets.split()}
    assert made >= {"lint", "test", "test-packages", "test-docs"}
    assert made <= set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))


def test_the_recipes_name_files_that_are_there():
    named = re.findall(r"`([\w./]+\.(?:py|md))`", (ROOT / "CONTRIBUTING.md").read_text())
    assert named
    assert [file for file in named if "NAME" not in file and not next(ROOT.rglob(file), None)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tables_are_the_measured_ones(page):
    assert filled(page.read_text()) == page.read_text(), "run make bench-tables"


def test_every_measured_table_is_shown():
    assert {block[2] for page in PAGES for block in BLOCK.finditer(page.read_text())} == set(TABLES)


def test_the_readme_is_short_and_has_one_measured_table():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    assert len(BLOCK.findall(text)) == 1


@pytest.mark.parametrize(
    "namespace", [schema.Entry, schema.Input, schema.Output, schema.Metric], ids=lambda it: it.__name__
)
def test_the_artifact_page_mentions_every_name(namespace):
    page = (ROOT / "docs/artifact.md").read_text()
    assert {name for name in schema.names(namespace) if f"`{name}`" not in page} == set()


def test_the_page_of_encoders_mentions_every_name():
    page = (ROOT / "docs/encoders.md").read_text()
    names = schema.names(schema.EncoderEntry) | schema.names(schema.EncoderPort)
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_the_client_in_javascript_knows_no_other_names():
    client = (ROOT / "examples/node/select.mjs").read_text()
    patterns = (r'"([a-z]\w*)"', r"metadata\.(\w+)", r"\.(\w+)\.data", r"again\.(\w+)")
    used = {word for pattern in patterns for word in re.findall(pattern, client)}
    used |= {word for words in re.findall(r"const \{([\w, ]+)\} =", client) for word in re.findall(r"\w+", words)}
    names = set().union(*map(schema.names, (schema.Entry, schema.Input, schema.Output, schema.Table)))
    assert {"quality_weight", "certified", "distinct"} <= used & names
    # Beside them: what version 1 calls the format version, and words of JavaScript.
    assert used - names == {"contract", "float64", "hex", "int64", "utf8"}
