"""Web pages that hold their pictures in themselves: one file, which can be mailed and opened anywhere."""

import base64
import html
from collections.abc import Iterable
from typing import Literal

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}
img{max-width:100%}pre{white-space:pre-wrap}table{border-collapse:collapse}
td,th{border-bottom:1px solid #ddd;padding:.2rem .8rem;text-align:left}
figure{display:inline-block;margin:.3rem;width:165px;vertical-align:top}figcaption{font-size:12px;overflow-wrap:anywhere}
.pair{display:inline-block;border:1px solid #ddd;margin:.3rem}.warning{background:#fbe3d6;padding:.5rem 1rem}"""


def html_page(title: str, parts: Iterable[str]) -> str:
    """A whole page under a heading.

    Args:
        title: as text.
        parts: of the body, as HTML.
    """
    name = escape(title)
    head = f'<meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>'
    body = "\n".join([f"<h1>{name}</h1>", *parts])
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def embedded(content: bytes, description: str, kind: Literal["png", "jpeg"]) -> str:
    """A picture as HTML, all of it in the tag.

    Args:
        content: of the file.
        description: what is read out in its place, as text.
        kind: of file.
    """
    return f'<img alt="{escape(description)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'


def escape(text: str) -> str:
    """Text as HTML; a file's name may hold bytes that are no text, which become question marks."""
    return html.escape(text.encode("utf-8", "replace").decode())
