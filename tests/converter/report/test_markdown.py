"""The summary in Markdown shows text as it is."""

import pytest

from modelpick.converter.report.markdown import escaped

MARKDOWN = {
    "Solve $2x=4$ and $y^2$": "Solve &#36;2x=4&#36; and &#36;y^2&#36;",
    ":tada: 12:30:45": ":\u200btada: 12:\u200b30:45",
    "ftp://a.b http://c": "ftp:\u200b//a.b http:\u200b//c",
    "GH-12 #12 @user": "GH-\u200b12 \\#\u200b12 \\@\u200buser",
    "\u202ex\x1b": "\\u202ex\\u001b",
}


@pytest.mark.parametrize(("text", "shown"), MARKDOWN.items())
def test_markdown_shows_text_as_it_is(text, shown):
    assert escaped(text).replace("\\\\", "\\").replace("\\_", "_") == shown
