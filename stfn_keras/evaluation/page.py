"""One self-contained HTML page: no scripts, nothing loaded, light and dark.

    text = page("Evaluation", [Section("summary", "", cards([...])), ...])
    text = with_section(text, Section("heat", "Heat maps", html))  # later, or again

What is shown is escaped by the functions here; a `Section` takes HTML.
"""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2430;--soft:#5a6675;--line:#dde2e8;
--panel:#f4f6f8;--accent:#2b6aa6;--bad:#b2452d}
@media (prefers-color-scheme:dark){:root{--paper:#13171c;--ink:#e3e8ee;--soft:#9aa6b4;
--line:#2d353f;--panel:#1b2128;--accent:#73b2ea;--bad:#ec8f77}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:1.5rem 1rem 4rem;background:var(--paper);
color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 1rem}
h2{font-size:1.15rem;margin:2.5rem 0 .75rem;padding-top:1rem;border-top:1px solid
var(--line)}
p,figcaption{margin:.5rem 0;color:var(--soft);max-width:44rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));gap:.75rem}
.card{background:var(--panel);border-radius:.5rem;padding:.75rem 1rem}
.card b{display:block;font-size:1.6rem;line-height:1.3;font-weight:600;
font-variant-numeric:tabular-nums}
.card span{display:block;font-size:.85rem;color:var(--soft)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.92rem}
th,td{padding:.3rem .9rem .3rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--line);overflow-wrap:normal}
th{color:var(--soft);font-weight:500}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.share{white-space:nowrap}
.bar{display:inline-block;width:clamp(3rem,10vw,7rem);height:.6rem;border-radius:.3rem;overflow:hidden;
background:var(--line);margin-right:.6rem}
.bar i{display:block;height:100%;background:var(--accent)}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));
gap:1rem;margin:1rem 0}
figure{margin:0}figcaption{font-size:.85rem}
figure img{display:block;width:100%;border-radius:.3rem}
.whole{margin:1.75rem 0}.whole figcaption{color:var(--ink);margin:0 0 .5rem}
.whole img{width:auto;max-width:100%;margin:0 0 .5rem}
svg{display:block;max-width:none;font:12px system-ui,sans-serif;fill:var(--ink)}
"""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        name: In lower case letters, by which it is found again.
        title: Its heading; empty for none.
        html: Its content; empty leaves the place without a heading.
    """

    name: str
    title: str
    html: str

    def __str__(self) -> str:
        head = f"<h2>{html.escape(self.title)}</h2>\n" if self.title else ""
        inner = f"{head}{self.html}\n" if self.html else ""
        return f"<!-- {self.name} -->\n{inner}<!-- end of {self.name} -->"


def page(title: str, sections: Sequence[Section]) -> str:
    """The page of these sections, in their order."""
    shown = html.escape(title)
    body = "\n".join(map(str, sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{shown}</title>\n<style>{STYLE}</style></head>\n"
        f"<body>\n<h1>{shown}</h1>\n{body}\n</body></html>\n"
    )


def with_section(text: str, section: Section) -> str:
    """A page of ours with another content of one of its sections.

    Raises:
        ValueError: The page has no section of this name.
    """
    name = re.escape(section.name)
    found = re.subn(
        rf"<!-- {name} -->.*?<!-- end of {name} -->", lambda _: str(section), text,
        count=1, flags=re.DOTALL,
    )  # fmt: skip
    if not found[1]:
        raise ValueError(f"The page has no section {section.name!r}.")
    return found[0]


def cards(items: Sequence[tuple[str, str, str]]) -> str:
    """Figures to be seen first: (value, what it is, what to know of it)."""
    shown = "\n".join(
        f'<div class="card"><b>{html.escape(value)}</b>{html.escape(what)}'
        f"<span>{html.escape(note)}</span></div>"
        for value, what, note in items
    )
    return f'<div class="cards">{shown}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table that scrolls sideways where it is too wide.

    Numbers stand to the right, floats with four places, and so does a `Number`; a
    `Markup` is put in as it is.
    """
    lines = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    tops = zip(head, rows[0] if rows else head, strict=True)
    top = "".join(f"<th{_side(below)}>{html.escape(name)}</th>" for name, below in tops)
    first = f"<tr>{top}</tr>\n" if any(head) else ""
    return f'<div class="wide"><table>{first}{lines}</table></div>'


class Markup(str):
    """Text that is HTML already."""


class Number(str):
    """Text of a number, or of its absence."""


def bar(share: float) -> Markup:
    """A bar of a share, 0..1, and its per cent; a dash for NaN."""
    if share != share:
        return Markup("–")
    return Markup(
        '<span class="share"><span class="bar">'
        f'<i style="width:{100 * share:.1f}%"></i></span>{100 * share:.0f} %</span>'
    )


def image(data: bytes, kind: str, caption: str) -> str:
    """A picture inside the page.

    Args:
        data: Its file's bytes.
        kind: `png`, `jpeg` or `gif`.
        caption: Text below it, which also stands for it.
    """
    shown = html.escape(caption)
    encoded = base64.b64encode(data).decode()
    return (
        f'<figure><img alt="{shown}" src="data:image/{kind};base64,{encoded}">'
        f"<figcaption>{shown}</figcaption></figure>"
    )


def whole(pictures: Sequence[tuple[bytes, str]], caption: str) -> str:
    """Pictures of one thing below each other, as large as they are or as fit.

    Args:
        pictures: Each one's bytes and kind, as `image` takes them.
        caption: Text above them, which also stands for them.
    """
    shown = html.escape(caption)
    inside = "\n".join(
        f'<img alt="{shown}" src="data:image/{kind};base64,'
        f'{base64.b64encode(data).decode()}">'
        for data, kind in pictures
    )
    return f'<figure class="whole"><figcaption>{shown}</figcaption>\n{inside}</figure>'


def sheet(pictures: str) -> str:
    """Pictures beside each other, as many as fit; `image` makes each."""
    return f'<div class="sheet">{pictures}</div>'


def paragraph(text: str) -> str:
    """A line of text."""
    return f"<p>{html.escape(text)}</p>"


def _side(value: object) -> str:
    return ' class="n"' if isinstance(value, int | float | Number) else ""


def _cell(value: object) -> str:
    shown = f"{value:.4f}" if isinstance(value, float) else str(value)
    if not isinstance(value, Markup):
        shown = html.escape("–" if shown == "nan" else shown)
    return f"<td{_side(value)}>{shown}</td>"
