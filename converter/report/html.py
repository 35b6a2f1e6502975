"""The page: one HTML file that sends no requests, and can be read without its script."""

import base64
import hashlib
import re
from typing import Any

from modelpick.runtime import ModelpickError
from modelpick.runtime.errors import one_line

from ..evaluation.evaluate import MANY
from .layout import Page

# Hue of each colour: all `MANY` are evenly spaced, and the first ones are far apart.
HUES = [(210 + 150 * color) % 360 for color in range(MANY)]

# Spaces within an interval, and in front of a percent sign.
_APART = re.compile(r"(?<=\d) (?=%)|(?<=[\d%],) (?=[-+]?\d[\d.,]*\])")


def _printable(value: Any) -> Any:
    """Make plain text printable; it may have several lines."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "\n".join(map(one_line, value.split("\n")))


def unbroken(text: str) -> str:
    """Keep an interval, and a number and its percent sign, on one line."""
    return _APART.sub("\u00a0", text)


def to_html(page: Page, *, version: str) -> str:
    """Render a report; the version is modelpick's.

    Raises
    ------
    ModelpickError
        When Jinja2 is missing.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError:
        raise ModelpickError("a report needs Jinja2: pip install 'modelpick[report]'") from None
    environment = Environment(
        loader=PackageLoader("modelpick.converter.report"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    script = environment.get_template("script.js").render()
    return environment.get_template("page.html.j2").render(
        page=page,
        version=version,
        hues=HUES,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
