"""What the pages say to do, done as a reader would: commands of the shell, Python snippets, and what they print.

`python tests/support/pages.py PAGE...` does that outside the checkout, with the modelpick that is installed, for
`make release-check`.
"""

import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, chdir
from importlib.util import find_spec
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
EVERY_PAGE = sorted(
    {
        page
        for pattern in ("*.md", "docs/**/*.md", "*/README.md", "*/*/README.md")
        for page in ROOT.glob(pattern)
        if not page.relative_to(ROOT).parts[0].startswith(".")
    }
)
MAKEFILE = (ROOT / "Makefile").read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()
ENVIRONMENT = {
    **environ,
    "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}",
    "GITHUB_STEP_SUMMARY": "summary.md",
}
PORT = ":8000"


class Step(NamedTuple):
    """Something to run, and what it must print, if the page says so."""

    language: str
    code: str
    printed: str | None = None
    verdict: str | None = None
    """A line of what it prints."""


def steps(page):
    """Return the steps of a page in order: commands of sh blocks and of workflows, and Python snippets."""
    found = []
    blocks = re.findall(r"^```(\w+)\n(.*?)^```|^> (\w[^\n]*)", page.read_text(), re.MULTILINE | re.DOTALL)
    for language, code, verdict in blocks:
        if verdict:
            found[-1] = found[-1]._replace(verdict=verdict)
        elif language == "sh":
            found += [Step("sh", line) for line in code.splitlines()]
        elif language == "yaml":
            found += [Step("sh", line) for line in re.findall(r"- run: (.*)", code)]
        elif language == "python":
            found.append(Step("python", code))
        elif language == "text" and found:
            found[-1] = found[-1]._replace(printed=code)
    return found


def run_page(page, folder, modelpick=None, python=None):
    """Run all steps of a page in a folder that also holds the sample models and the examples, as a checkout does.

    ``modelpick`` takes the arguments of a command, and ``python`` a folder and a program; both return what
    `subprocess.run` does. Without them each step is a process of its own, which takes many times as long.
    """
    # A workflow compares with the branch that is merged into, in base.
    for name, target in (("models", "models"), ("examples", "examples"), ("models", "base/models")):
        shutil.copytree(ROOT / name, folder / target, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    with ExitStack() as servers:
        port = _free_port()
        for step in steps(page):
            if "import ray" in step.code and not find_spec("ray"):
                continue
            if step.code == "kill %1":
                servers.close()
            elif step.code.endswith(" &"):
                servers.enter_context(_Server(step.code.removesuffix(" &").replace(PORT[1:], port), port, folder))
            else:
                run(step._replace(code=step.code.replace(PORT, f":{port}")), folder, modelpick, python, page)


def run(step, folder, modelpick, python, page):
    """Run a step in a folder; what installs or makes is only checked to be there: `make test` itself runs this."""
    if installed := re.fullmatch(r"pip install '?(\.|[\w-]+)(?:\[(.*)\])?'?", step.code):
        return check_install(*installed.groups(default=""), page)
    if made := re.fullmatch(r"make ([\w-]+)", step.code):
        assert re.search(rf"^{made[1]}:", MAKEFILE, re.MULTILINE), step.code
        return None
    command = [sys.executable, "-c", step.code] if step.language == "python" else ["bash", "-c", step.code]
    if shown := re.fullmatch(r"python -m webbrowser (\S+)", step.code):
        assert (folder / shown[1]).is_file(), step.code
        return None
    tool = step.code.split()[0]
    assert step.language == "python" or tool in ("modelpick", "minisign", "rm"), f"how is this checked? {step.code}"
    if tool == "minisign" and not shutil.which(tool):
        return None
    arguments, redirected = re.fullmatch(r"\w+ ([^$|<>;&*]*)(.*)", step.code, re.DOTALL).groups()
    if python and step.language == "python" and "import ray" not in step.code:
        done = python(folder, step.code)
    elif modelpick and tool == "modelpick" and redirected[:1] in ("", "|", ">"):
        with chdir(folder):
            done = modelpick(*shlex.split(arguments))
        if redirected:
            call = ["bash", "-c", f"cat {redirected}"]
            subprocess.run(call, cwd=folder, env=ENVIRONMENT, input=done.stdout, text=True, timeout=600, check=True)
    else:
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{step.code}\n{done.stderr}"
    if step.printed is not None:
        assert done.stdout == step.printed, f"{step.code}\n{done.stdout}"
    if step.verdict is not None:
        assert step.verdict in done.stdout, f"{step.code}\n{done.stdout}"
    return None


def check_install(what, extras, page):
    """Check what is installed: a checkout, by a dot; or by its name what an index has, which a page must say."""
    if what != ".":
        assert what == re.search(r'^name = "(.*)"', PYPROJECT, re.MULTILINE)[1]
        assert re.search(r"once (modelpick|it) is published", page.read_text(), re.IGNORECASE), page
    known = re.findall(r"^([a-z]+) = \[", PYPROJECT.partition("[project.optional-dependencies]")[2], re.MULTILINE)
    assert set(re.findall(r"\w+", extras)) <= set(known)


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


class _Server:
    """A command that runs until the page is done; it is entered once the port answers."""

    def __init__(self, command, port, folder):
        self._port = int(port)
        self._process = subprocess.Popen(["bash", "-c", f"exec env {command}"], cwd=folder, env=ENVIRONMENT)

    def __enter__(self):
        for _ in range(3_000):
            with socket.socket() as caller:
                if caller.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            assert self._process.poll() is None, "the server ended"
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(timeout=30)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        with TemporaryDirectory() as folder:
            run_page(Path(argument), Path(folder))
        print(f"{argument}: {len(steps(Path(argument)))} steps run")
