"""What mkdocs does for the site in addition to rendering the pages of docs/: `make docs`.

Pages and files that stand elsewhere in the repository get a place on the site, links between them and docs/ are
rewritten, and the reference of the command is generated from its code.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page
    from typer.core import TyperCommand, TyperGroup

ROOT = Path(__file__).parents[1]
# What pages may link to outside docs/ -> its name on the site.
HOMES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "LICENSE": "project/license.txt",
    "benchmarks/README.md": "project/benchmarks.md",
    "benchmarks/results/knn.svg": "project/knn.svg",
    "benchmarks/results/logs-bias.svg": "project/logs-bias.svg",
    "benchmarks/results/logs-intervals.svg": "project/logs-intervals.svg",
    "benchmarks/results/results.json": "project/results.json",
    "examples/gateway/grafana.json": "project/grafana.json",
    "examples/node/select.mjs": "project/select.mjs",
    "models/README.md": "project/models.md",
    **{str(page.relative_to(ROOT)): f"project/{page.parent.name}.md" for page in ROOT.glob("examples/*/README.md")},
}
# The README is for the repository; the site has a page of its own in its place.
PLACES = HOMES | {"README.md": "index.md"}
COMMAND = "reference/command.md"
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what does not stand in docs/."""
    from mkdocs.structure.files import File

    for source, home in HOMES.items():
        files.append(File.generated(config, home, abs_src_path=str(ROOT / source)))
    files.append(File.generated(config, COMMAND, content=command_page()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links between docs/ and the rest of the repository lead to where these are on the site."""
    return with_links(markdown, page.file.src_uri)


def with_links(markdown: str, home: str) -> str:
    """Rewrite the relative links of a page, whose name on the site is ``home``; leave those that lead nowhere."""
    source = next((source for source, its_home in HOMES.items() if its_home == home), f"docs/{home}")

    def on_site(link: re.Match[str]) -> str:
        target = normpath(join(dirname(source), link[0]))
        found = PLACES.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        return link[0] if found is None else relpath(found, dirname(home) or ".")

    return LINK.sub(on_site, markdown)


def command_page() -> str:
    """Return the reference of the command in Markdown: every argument and option of every sub-command."""
    from modelpick.converter.cli.app import app

    group = typer.main.get_group(app)
    root = typer.Context(group, info_name="modelpick", **group.context_settings)
    sections = ["# The command", "[Exit codes](errors.md#exit-codes) are the same for all commands."]
    sections += _described(group, root)
    for name, command in group.commands.items():
        sections += [f"## {name}", *_described(command, typer.Context(command, info_name=name, parent=root))]
    return "\n\n".join(sections) + "\n"


def _described(command: TyperCommand | TyperGroup, context: typer.Context) -> list[str]:
    usage = f"```text\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```"
    records = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    rows = [f"| `{names}` | {_cell(words)} |" for names, words in records]  # code keeps its bars
    return [usage, _prose(command.help or ""), "\n".join(["| argument or option | |", "| --- | --- |", *rows])]


def _prose(text: str) -> str:
    return re.sub(r"([<>\[\]])", r"\\\1", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
