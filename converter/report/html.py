"""The page: one HTML file that sends no requests, and can be read without its script."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from modelpick.runtime import ModelpickError
from modelpick.runtime.errors import one_line

from .layout import Section, walk
from .pictures import Picture

# Each hue is the golden angle away from the previous one, which keeps any number of hues as far apart as possible.
FIRST_HUE, GOLDEN_ANGLE = 210.0, 137.508


def _printable(value: Any) -> Any:
    """Make plain text printable; it may have several lines."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "\n".join(map(one_line, value.split("\n")))


def to_html(sections: Sequence[Section], *, version: str) -> str:
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
    found = list(walk(sections))
    pictures = [one for _, section in found for one in section.pictures if isinstance(one, Picture)]
    colors = 1 + max((shape.color for picture in pictures for shape in picture.shapes), default=-1)
    script = environment.get_template("script.js").render()
    return environment.get_template("page.html.j2").render(
        sections=[(level, f"s{place}", section) for place, (level, section) in enumerate(found)],
        version=version,
        hues=[round((FIRST_HUE + GOLDEN_ANGLE * color) % 360, 1) for color in range(colors)],
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
