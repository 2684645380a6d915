"""
`/guide`: the pages of `hub/guide`, for whoever asks, as pages that run nothing and load nothing.

Their links lead from file to file, as a repository shows them, and here from page to page. What leads out of the guide
is no link here: a hub doesn't serve the repository.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from itertools import pairwise

from fastapi import APIRouter
from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from hub.api.page import policy

#: `/guide` itself.
INDEX = "index"

#: The pages by what their files are called, and how they are called in the head of each.
PAGES = {
    INDEX: "Guide",
    "subscriber": "Subscribing",
    "publisher": "Publishing",
    "operator": "Operating",
    "commands": "Commands",
    "measured": "Measured",
    "conformance": "Conformance",
}

_STYLE = (
    ":root{color-scheme:light dark;--line:#8886;--soft:#8881;--link:#0b57a4}"
    "@media(prefers-color-scheme:dark){:root{--link:#8cc4ff}}"
    "*{box-sizing:border-box}"
    "body{font:16px/1.55 system-ui,sans-serif;margin:0 auto;max-width:80em;padding:0 1em 4em}"
    "a{color:var(--link)}main{min-width:0}"
    "header ul,nav ul{list-style:none;margin:0;padding:0}"
    "header{border-bottom:1px solid var(--line);padding:.8em 0}"
    "header ul{display:flex;flex-wrap:wrap;gap:.3em 1.4em}[aria-current]{color:inherit;font-weight:bold}"
    "nav{border-bottom:1px solid var(--line);padding:.8em 0;font-size:.95em}"
    "nav ul{columns:14em}nav .inner{padding-left:1em}nav li{break-inside:avoid;padding:.1em 0}"
    "h1,h2,h3{line-height:1.25}h2{margin-top:2em;border-bottom:1px solid var(--line)}"
    ":is(h2,h3) a{color:inherit;text-decoration:none}:is(h2,h3) a:hover{text-decoration:underline}"
    "code{font:.9em ui-monospace,monospace;background:var(--soft);border-radius:3px;padding:.1em .25em;"
    "overflow-wrap:anywhere}"
    "pre{background:var(--soft);border:1px solid var(--line);border-radius:4px;overflow-x:auto;padding:.8em}"
    "pre code{background:none;padding:0;overflow-wrap:normal}"
    "div.table{overflow-x:auto;margin:1em 0}table{border-collapse:collapse}"
    "th,td{border:1px solid var(--line);padding:.3em .6em;text-align:left;vertical-align:top}th{background:var(--soft)}"
    "td:first-child code{overflow-wrap:normal;white-space:nowrap}"
    "td:last-child:not(:nth-child(n+4)){min-width:16em}thead:not(:has(th:not(:empty))){display:none}"
    "@media(min-width:64em){.page{display:grid;grid-template-columns:15em minmax(0,1fr);gap:2.5em}"
    "nav{border:0;position:sticky;top:0;max-height:100vh;overflow-y:auto;align-self:start}nav ul{columns:auto}}"
    "@media print{header,nav{display:none}}"
)

#: What a browser may do with it.
POLICY = policy(_STYLE)


@dataclass(frozen=True, slots=True)
class Heading:
    """
    level: From 1.
    anchor: What stands behind the `#` of its URL, as GitHub has it.
    """

    level: int
    text: str
    anchor: str


def guide_routes() -> APIRouter:
    """One for each page."""
    return APIRouter(routes=[Route(_path(name), _get, include_in_schema=False) for name in PAGES])


async def _get(request: Request) -> Response:
    name = request.url.path.rpartition("/guide")[2].strip("/") or INDEX
    return HTMLResponse(page(name), headers={"Content-Security-Policy": POLICY})


@cache
def page(name: str) -> str:
    """One of PAGES as HTML."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(source(name))
    current = ' aria-current="page"'
    pages = "".join(
        f'<li><a href="{_to(each, name)}"{current if each == name else ""}>{title}</a></li>'
        for each, title in PAGES.items()
    )
    contents = "".join(
        f'<li{" class=inner" if each.level > 2 else ""}><a href="#{each.anchor}">{escape(each.text)}</a></li>'
        for each in headings(tokens)
        if each.level > 1
    )
    body = markdown.renderer.render(list(_led(name, tokens)), markdown.options, {})
    # Wide tables scroll by themselves, by keys too.
    body = body.replace("<table>", '<div class="table" tabindex="0"><table>').replace("</table>", "</table></div>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{PAGES[name]} · FHIR event hub</title><style>{_STYLE}</style></head><body>"
        f'<header><ul>{pages}<li><a href="{_up(name)}docs">All routes</a></li></ul></header><div class="page">'
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav><main>{body}</main></div></body></html>'
    )


def source(name: str) -> str:
    """One of PAGES as it was written."""
    return (files("hub") / "guide" / f"{name}.md").read_text("utf-8")


def headings(tokens: Sequence[Token]) -> list[Heading]:
    """Those of a page, in their order. No two are called the same."""
    found: list[Heading] = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(each.content for each in inline.children or ())
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.append(Heading(int(opening.tag[1]), text, anchor))
    return found


def _path(name: str) -> str:
    return "/guide" if name == INDEX else f"/guide/{name}"


def _up(here: str) -> str:
    """From a page to the root: a proxy may have that below a path of its own."""
    return "" if here == INDEX else "../"


def _to(name: str, here: str) -> str:
    return _up(here) + _path(name)[1:]


def _led(name: str, tokens: Sequence[Token]) -> Iterator[Token]:
    """The text, with an anchor and a link to it at each heading, and links that lead to pages."""
    anchors = iter(headings(tokens))
    for before, token in pairwise([Token("text", "", 0), *tokens]):
        if token.type == "heading_open":
            heading = next(anchors)
            token.attrSet("id", heading.anchor)
        if token.type == "inline" and token.children:
            token.children = list(_linked(name, token.children))
            if before.type == "heading_open" and heading.level > 1:
                opening = Token("link_open", "a", 1, attrs={"href": f"#{heading.anchor}"})
                token.children = [opening, *token.children, Token("link_close", "a", -1)]
        yield token


def _linked(name: str, tokens: Sequence[Token]) -> Iterator[Token]:
    """Text whose links lead to pages. What leads to files that are not served is left as its text."""
    out = False
    for token in tokens:
        if token.type == "link_open":
            target, mark, anchor = str(token.attrGet("href")).partition("#")
            other = target.removesuffix(".md")
            out = bool(target) and other not in PAGES and "://" not in target
            if other in PAGES:
                token.attrSet("href", f"{_to(other, name)}{mark}{anchor}")
        if not (out and token.type in ("link_open", "link_close")):
            yield token
