"""Takes marks of form out of text: terminal escape codes, SSML and HTML tags, character references, Markdown.

Words stay, in their order. Where a mark says something about the speech, punctuation takes its place: a break becomes a
comma, a paragraph a line, and a cell of a table ends with a comma. A substitute (`<sub alias>`) is said in place of its
text. A tag that is not known here is text. The repetitions of every pattern are bounded, so that time grows with the
text's length alone.
"""

from __future__ import annotations

import html
import re
from html.entities import html5

_ESCAPE_CODE = re.compile(
    r"\x1b\[[0-?]{0,64}+[ -/]{0,8}+[@-~]"  # colours, the cursor
    r"|\x1b\][^\x07\x1b\n]{0,500}+(?:\x07|\x1b\\)"  # the window's title, links
    r"|\x1b(?:[()][0-2AB]|[78=>])"  # character sets, the cursor kept
)
_ATTRIBUTES = r"""(?:\s++[\w:.-]{1,64}+\s*+=\s*+(?:"[^"<>]{0,400}+"|'[^'<>]{0,400}+')){0,20}+\s*+"""
_LINES = "p|s|br|div|li|ul|ol|h[1-6]|par|seq"
_INLINE = (
    "speak|voice|prosody|emphasis|say-as|sub|phoneme|lang|audio|mark|desc|token|w|lexicon|lookup|meta|metadata|media|"
    "(?:amazon|google|mstts):[a-z-]{1,40}+|a|b|i|u|em|strong|small|span|code"
)
_COMMENT = re.compile(r"<!--[^<>]{0,400}+(?<=--)>|<[?!](?:xml|doctype)\b[^<>]{0,400}+>", re.IGNORECASE)
_SUBSTITUTE = re.compile(
    r"""<sub\s++alias\s*+=\s*+(?:"([^"<>]{1,400}+)"|'([^'<>]{1,400}+)')\s*+>[^<>]{0,400}+</sub\s*+>""", re.IGNORECASE
)
_TAG = re.compile(
    rf"</?(?:(?P<pause>break)|(?P<line>{_LINES})|{_INLINE})(?![\w:-]){_ATTRIBUTES}/?>",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_QUOTE = re.compile(r"(?m)^[ ]*+(?:>[ ]*+)++(?=[^\s\d=])")
_HEAD = re.compile(r"(?m)^[ ]*+(?:#{1,6}|[-*•])[ ]+")
_STRUCK = re.compile(r"~~(?=[^\s~])([^~\n]{1,400}+)(?<=\S)~~")
_STRESSED = re.compile(r"(\*\*\*|\*\*|___|__|\*|_|``?)(?=\S)([^*_`\n]{1,400}?)(?<=\S)\1(?!\w)")
_CELL_OF_DASHES = re.compile(r":?-+:?")


def without_tags(text: str) -> str:
    """Remove escape codes and the tags known here, and put characters in place of the references that name them."""
    if "\x1b" in text:
        text = _ESCAPE_CODE.sub("", text)
    if "<" in text:
        text = _TAG.sub(_tag, _SUBSTITUTE.sub(lambda m: m[1] or m[2], _COMMENT.sub("", text)))
    if "&" in text:
        text = _REFERENCE.sub(_referred, text)
    return text


def without_markdown(text: str) -> str:
    """Remove Markdown's marks. As white space before a mark, only spaces and line breaks count."""
    text = _QUOTE.sub("", text)
    if "|" in text:
        text = "\n".join(map(_row, text.split("\n")))
    return _STRESSED.sub(r"\2", _STRUCK.sub(r"\1", _HEAD.sub("", text)))


def _tag(match: re.Match[str]) -> str:
    if match["line"]:
        return "\n"
    if not match["pause"]:
        return ""
    start, end = match.span()
    before, after = match.string[max(0, start - 2) : start].rstrip(), match.string[end : end + 2].lstrip()
    return ", " if before[-1:].isalnum() and after[:1].isalnum() else " "


def _referred(match: re.Match[str]) -> str:
    reference = match.group()
    return html.unescape(reference) if reference[1] == "#" or reference[1:] in html5 else reference


def _row(line: str) -> str:
    """Return a table's line as its cells with commas between, and the line of dashes under its head as an empty one.

    Any other line is returned as it is.
    """
    row = line.strip()
    if len(row) < 3 or row[0] != "|" or row[-1] != "|" or (row.count("|") == 2 and row[1] != " "):
        return line
    cells = [cell for part in row.split("|") if (cell := part.strip())]
    return ", ".join(cell for cell in cells if not _CELL_OF_DASHES.fullmatch(cell))
