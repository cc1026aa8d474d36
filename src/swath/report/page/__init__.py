"""index.html: one self-contained page that draws a sweep from its numbers."""

import json
from html import escape
from importlib import resources
from typing import Any

_SCRIPTS = ("base.js", "charts.js", "sections.js", "searches.js", "page.js")


def page(numbers: dict[str, Any]) -> str:
    """The page, with its numbers, style and script inside; it asks the network for nothing.

    Args:
        numbers: From `swath.report.report_json.numbers`; with a `live` entry the page keeps asking for `report.json`
            beside it.
    """
    files = resources.files("swath.report.page")
    # "</" would end the script element in the middle of a text.
    data = json.dumps(numbers, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    text = files.joinpath("page.html").read_text("utf-8")
    for mark, content in (
        ("__TITLE__", escape(f"{numbers['sweep']} - swath")),
        ("__STYLE__", files.joinpath("page.css").read_text("utf-8").strip()),
        ("__SCRIPT__", "\n\n".join(files.joinpath(name).read_text("utf-8").strip() for name in _SCRIPTS)),
        ("__NUMBERS__", data),
    ):
        text = text.replace(mark, content, 1)
    return text
