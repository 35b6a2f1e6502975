"""Groups of options: one parameter of a command, an option for each field."""

from typing import Annotated, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from modelpick.converter.cli.options import expanded


class Point(NamedTuple):
    x: int = 1
    y: int = 2
    z: int = 3


@expanded
def show(
    name: str,
    loud: bool = False,
    *,
    point: Annotated[Point, {"x": Annotated[int, typer.Option(min=0)], "y": Annotated[int, typer.Option("--height")]}],
    times: int = 1,
) -> str:
    """Show a point."""
    line = f"{name} {point}".upper() if loud else f"{name} {point}"
    typer.echo(times * line)
    return line


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(show)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_each_field_that_is_named_is_an_option(run):
    assert run("p").output == "p Point(x=1, y=2, z=3)\n"
    assert run("p", "--x", "5", "--height", "7", "--loud").output == "P POINT(X=5, Y=7, Z=3)\n"
    assert run("p", "--x", "-1").exit_code == 2
    assert run("p", "--z", "1").exit_code == 2
    assert run("p", "--point", "1").exit_code == 2


def test_python_calls_it_by_the_names_of_the_fields():
    assert show("p", True, x=4) == "P POINT(X=4, Y=2, Z=3)"
    with pytest.raises(TypeError, match="z"):
        show("p", z=4)
