"""`/docs`: what `/openapi.json` says, as a page that runs nothing and loads nothing, from here or elsewhere."""

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Any

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "code{font-size:.95em}summary{padding:.3em 0;cursor:pointer}details{border-bottom:1px solid #8886}"
    "dt{font-weight:bold}dd{margin:0 0 .5em 1.5em}"
)


def policy(style: str) -> str:
    """What a browser may do with a page that has this style and nothing else."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


#: What a browser may do with `/docs`.
POLICY = policy(_STYLE)


def page(described: dict[str, Any]) -> str:
    """An OpenAPI document as HTML."""
    title = escape(described["info"]["title"])
    head = f'<head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
    return (
        f'<!doctype html><html lang="en">{head}<body><h1>{title}</h1>'
        f"<p>{_text(described['info'].get('description', ''))}</p>"
        '<p>How it is meant: <a href="guide">the guide</a>. For programs: <a href="openapi.json">openapi.json</a>.</p>'
        f"{''.join(_parts(described))}</body></html>"
    )


def _parts(described: dict[str, Any]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            tags = operation.get("tags") or ["other"]
            by_tag.setdefault(tags[0], []).append(_operation(method, path, operation))
    for tag, operations in by_tag.items():
        yield f"<h2>{escape(tag)}</h2>{''.join(operations)}"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    taken = [
        (f"{each['name']} ({each['in']})", each.get("description", "")) for each in operation.get("parameters", ())
    ]
    bodies = operation.get("requestBody", {}).get("content", {})
    taken += [("body", ", ".join(bodies))] if bodies else []
    answers = [(status, each.get("description", "")) for status, each in operation.get("responses", {}).items()]
    heading = f"<code>{method.upper()} {escape(path)}</code> {_text(operation.get('summary', ''))}"
    text = _text(operation.get("description", ""))
    return f"<details><summary>{heading}</summary><p>{text}</p>{_list(taken)}{_list(answers)}</details>"


def _list(rows: list[tuple[str, str]]) -> str:
    return (
        f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{_text(text)}</dd>' for name, text in rows)}</dl>" if rows else ""
    )


def _text(text: str) -> str:
    """Text in which backquotes stand around code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
