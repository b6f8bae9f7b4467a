"""Written text made speakable while it streams: Markdown, HTML, links, tables, code and emoji, as they are read out.

However a text is cut into pieces, what comes out is the same. Words are held back only while they may still be part of
a mark: a link, a tag, a row of a table. `[SPEAKERn]` tags, punctuation and line breaks stay.
"""

from __future__ import annotations

import re

CODE_LEFT_OUT = "There is code here that I leave out."

_LONGEST_LINK_TEXT = 200
_LONGEST_ADDRESS = 2000
_LONGEST_TAG = 200
_LONGEST_ROW = 1000
_LONGEST_MARK = 100

_SPACES = " \t\xa0"
_FENCE = re.compile(r"`{3,}|~{3,}")
_NUMBERED = re.compile(r"(\d{1,3})[.)] +")
_NUMBERED_SO_FAR = re.compile(r"\d{1,3}(?:[.)] *)?\Z")
_BULLETS = "-*+•‣◦▪–"
_RULE = re.compile(r"([-*_])(?: *\1){2,} *(?:\n|\Z)")
_RULE_SO_FAR = re.compile(r"[-*_ ]*\Z")
_TASK = re.compile(r"\[[ xX]\] ")
_SEPARATOR = re.compile(r"[\s|:-]*\Z")
_CITATION = re.compile(r"\^?\d{1,3}$")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_SCHEMES = ("http://", "https://")
_ADDRESS_ENDS = re.compile(r"[\s<>\"'`{}|\\^*\[\]]")
_HOST = re.compile(r"https?://(?:[^/?#@]*@)?(?:www\.)?([^/?#:]+)", re.IGNORECASE)
_TAG = re.compile(
    r"/?(b|i|u|s|p|a|em|strong|small|br|hr|div|span|ul|ol|li|h[1-6]|code|pre|sub|sup|table|thead|tbody|tr|td|th|img|"
    r"details|summary|blockquote|font|kbd|mark|del|ins)(?:\s[^<>]*)?/?",
    re.IGNORECASE,
)
_OF_LINES = ("p", "br", "hr", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6")
_THOUGHT = re.compile(r"think(?:ing)?", re.IGNORECASE)
_THOUGHT_ENDS = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_LONGEST_THOUGHT_END = len("</thinking>")
_EMOJI = re.compile(
    r"[\U0001F000-\U0001FAFF\u2600-\u27BF\u2B00-\u2BFF\u2300-\u23FF\u20E3\u200D\uFE00-\uFE0F\U000E0000-\U000E007F]"
)
_MARKS = frozenset("\\`*_~[!<")


class Speakable:
    """Makes one text speakable. Give it pieces with `push`, and get the rest with `flush`."""

    def __init__(self) -> None:
        self._rest = ""
        self._line_begins = True
        self._within = ""  # code or thought: what is not spoken
        self._before = "\n"  # the character read before the rest
        self._last = "\n"  # the character given last

    def push(self, text: str) -> str:
        """Take more text in, and give what of it can be spoken now."""
        self._rest += text
        return self._spoken(final=False)

    def flush(self) -> str:
        """Give what was held back: there is no more text."""
        return self._spoken(final=True)

    def _spoken(self, *, final: bool) -> str:
        said: list[str] = []
        while self._rest and (step := self._step(final)) is not None:
            length, text = step
            self._before = self._rest[length - 1]
            self._rest = self._rest[length:]
            said.append(self._squeezed(text))
        return "".join(said)

    def _squeezed(self, text: str) -> str:
        """Leave out spaces after a space and at the head of a line, and empty lines."""
        kept = []
        for character in text:
            if character in _SPACES:
                character = " "
            if character in (" ", "\n") and self._last in ("\n", character):
                continue
            kept.append(character)
            self._last = character
        return "".join(kept)

    def _step(self, final: bool) -> tuple[int, str] | None:
        """Read on: how many characters, and what is said for them. None: more text has to come first."""
        if self._within == "code":
            return self._in_code(final)
        if self._within == "thought":
            return self._in_thought(final)
        if self._line_begins:
            step = self._head(final)
            if step != (0, ""):
                return step
            self._line_begins = False
        return self._inline(final)

    # --- the head of a line ---

    def _head(self, final: bool) -> tuple[int, str] | None:
        """Read a mark at the head of a line; (0, ""): there is none (any more)."""
        rest, first = self._rest, self._rest[0]
        if first in _SPACES or first in "\r\n":
            return 1, "\n" if first == "\n" else ""
        if first == ">":
            return 1, ""
        if first in "`~" and (step := self._fence(final)) != (0, ""):
            return step
        if first == "#":
            return self._heading(final)
        if first == "|":
            return self._row(final)
        if first.isascii() and first.isdigit():
            return self._numbered(final)
        if first in "-*_" and (step := self._rule(final)) != (0, ""):
            return step
        if first in _BULLETS:
            if len(rest) == 1 and not final:
                return None
            if rest[1:2] == " ":
                return self._bullet(final)
        return 0, ""

    def _fence(self, final: bool) -> tuple[int, str] | None:
        found = _FENCE.match(self._rest)
        if found is None:
            run = len(self._rest) - len(self._rest.lstrip(self._rest[0]))
            return None if run == len(self._rest) < 3 and not final else (0, "")
        end = self._rest.find("\n")
        named = self._rest[found.end() : end if end >= 0 else None]
        if "`" in named or len(named) > _LONGEST_MARK:
            return 0, ""
        if end < 0 and not final:
            return None
        self._within = "code"
        return (end + 1 if end >= 0 else len(self._rest)), f"{CODE_LEFT_OUT}\n"

    def _heading(self, final: bool) -> tuple[int, str] | None:
        run = len(self._rest) - len(self._rest.lstrip("#"))
        if run == len(self._rest) and run <= 6 and not final:
            return None
        return (run, "") if run <= 6 and self._rest[run : run + 1] == " " else (0, "")

    def _row(self, final: bool) -> tuple[int, str] | None:
        end = self._rest.find("\n")
        if end < 0:
            if len(self._rest) <= _LONGEST_ROW and not final:
                return None
            end = len(self._rest)
        if end > _LONGEST_ROW:
            return 1, ""
        row = self._rest[:end]
        cells = [_alone(cell) for cell in row.strip().strip("|").split("|")] if not _SEPARATOR.match(row) else []
        said = ", ".join(filter(None, cells))
        return end, f"{said}." if said and said[-1].isalnum() else said

    def _numbered(self, final: bool) -> tuple[int, str] | None:
        if _NUMBERED_SO_FAR.match(self._rest) and not final:
            return None
        found = _NUMBERED.match(self._rest)
        if found is None:
            return 0, ""
        self._line_begins = False
        return found.end(), f"{found[1]}: "

    def _rule(self, final: bool) -> tuple[int, str] | None:
        if len(self._rest) <= _LONGEST_MARK and _RULE_SO_FAR.match(self._rest) and not final:
            return None
        found = _RULE.match(self._rest)
        return (0, "") if found is None or found.end() > _LONGEST_MARK else (found.end(), "\n")

    def _bullet(self, final: bool) -> tuple[int, str] | None:
        if len(self._rest) < 6 and not final and _TASK.match((self._rest[2:] + "[x] ")[:1] + "x] "):
            return None
        self._line_begins = False
        task = _TASK.match(self._rest, 2)
        return (task.end() if task else 2), ""

    # --- within a line ---

    def _inline(self, final: bool) -> tuple[int, str] | None:
        rest, first = self._rest, self._rest[0]
        match first:
            case "\n":
                self._line_begins = True
                return 1, "\n"
            case "\r":
                return 1, ""
            case "\\":
                return self._escaped(final)
            case "`":
                return 1, ""
            case "*" | "_" | "~":
                return self._stressed(final)
            case "[" | "!":
                return self._link(final)
            case "<":
                return self._tag(final)
        if first in "hH" and not self._before.isalnum() and (step := self._address(final)) != (0, ""):
            return step
        if _EMOJI.match(first):
            return 1, ""
        end = 1
        if first.isalnum():
            while end < len(rest) and rest[end].isalnum() and not _EMOJI.match(rest[end]):
                end += 1
        return end, rest[:end]

    def _escaped(self, final: bool) -> tuple[int, str] | None:
        if len(self._rest) == 1:
            return (1, "\\") if final else None
        sign = self._rest[1]
        if sign.isspace():
            return 1, ""
        return (2, sign) if sign.isascii() and not sign.isalnum() else (1, "\\")

    def _stressed(self, final: bool) -> tuple[int, str] | None:
        mark = self._rest[0]
        run = min(len(self._rest) - len(self._rest.lstrip(mark)), _LONGEST_MARK)
        if run == len(self._rest) and not final:
            return None
        after = self._rest[run : run + 1]
        if mark == "_":
            return run, " " if self._before.isalnum() and after.isalnum() else ""
        if mark == "~":
            return run, "" if run > 1 else "about " if after.isdigit() and not self._before.isalnum() else "~"
        alone = self._before.isspace() and (not after or after.isspace())
        product = run == 1 and self._before.isdigit() and after.isdigit()
        return run, mark * run if alone or product else ""

    def _link(self, final: bool) -> tuple[int, str] | None:
        """Read a link, an image or a citation; of a link its text is said."""
        rest = self._rest
        begin = 1 if rest[0] == "!" else 0
        if len(rest) == begin:
            return (1, "!") if final else None
        if rest[begin] != "[":
            return 1, rest[0]
        reach = begin + _LONGEST_LINK_TEXT
        close = next((at for at in range(begin + 1, min(len(rest), reach)) if rest[at] in "[]\n"), -1)
        if close < 0:
            return None if len(rest) < reach and not final else (1, rest[0])
        text = rest[begin + 1 : close]
        if rest[close] != "]":
            return 1, rest[0]
        if close + 1 == len(rest) and not final:
            return None
        if rest[close + 1 : close + 2] != "(":
            return (close + 1, "") if _CITATION.match(text) and not begin else (1, rest[0])
        depth = 0
        for at in range(close + 1, min(len(rest), close + _LONGEST_ADDRESS)):
            depth += (rest[at] == "(") - (rest[at] == ")")
            if not depth:
                return at + 1, _alone(text)
            if rest[at] == "\n":
                return 1, rest[0]
        return None if len(rest) < close + _LONGEST_ADDRESS and not final else (1, rest[0])

    def _tag(self, final: bool) -> tuple[int, str] | None:
        rest = self._rest
        if len(rest) == 1:
            return (1, "<") if final else None
        if not (rest[1].isalpha() or rest[1] == "/"):
            return 1, "<"
        end = next((at for at in range(1, min(len(rest), _LONGEST_TAG)) if rest[at] in "<>\n"), -1)
        if end < 0:
            return None if len(rest) < _LONGEST_TAG and not final else (1, "<")
        inside = rest[1:end]
        if rest[end] != ">":
            return 1, "<"
        if _THOUGHT.fullmatch(inside.removeprefix("/")):
            self._within = "" if inside.startswith("/") else "thought"
            return end + 1, ""
        if _ADDRESS.match(inside):
            return end + 1, _host(inside)
        if (found := _TAG.fullmatch(inside)) is None:
            return 1, "<"
        return end + 1, "\n" if found[1].lower() in _OF_LINES else ""

    def _address(self, final: bool) -> tuple[int, str] | None:
        """Read an address of the web; its host is said."""
        head = self._rest[:8].lower()
        if not _ADDRESS.match(self._rest):
            so_far = any(scheme.startswith(head) for scheme in _SCHEMES)
            return None if so_far and not final else (0, "")
        found = _ADDRESS_ENDS.search(self._rest, 0, _LONGEST_ADDRESS)
        if found is None and len(self._rest) < _LONGEST_ADDRESS and not final:
            return None
        end = found.start() if found else min(len(self._rest), _LONGEST_ADDRESS)
        address = self._rest[:end].rstrip(".,;:!?")
        while address.endswith(")") and address.count(")") > address.count("("):
            address = address[:-1].rstrip(".,;:!?")
        host = _host(address)
        return (len(address), host) if host else (1, self._rest[0])

    # --- what is not spoken ---

    def _in_code(self, final: bool) -> tuple[int, str] | None:
        end = self._rest.find("\n")
        line = self._rest if end < 0 else self._rest[:end]
        if end < 0 and not final:
            may_end = len(line.lstrip()) < 3 or _FENCE.match(line.lstrip())
            if self._before == "\n" and may_end and len(line) < _LONGEST_MARK:
                return None
            return len(line), ""
        if self._before == "\n" and _FENCE.match(line.lstrip()) and len(line) < _LONGEST_MARK:
            self._within, self._line_begins = "", True
        return (len(line) if end < 0 else end + 1), ""

    def _in_thought(self, final: bool) -> tuple[int, str] | None:
        found = _THOUGHT_ENDS.search(self._rest)
        if found:
            self._within, self._line_begins = "", True
            return found.end(), ""
        if final:
            return len(self._rest), ""
        kept = len(self._rest) - _LONGEST_THOUGHT_END
        return (kept, "") if kept > 0 else None


def _alone(text: str) -> str:
    """Make a text within a mark speakable."""
    whole = Speakable()
    whole._line_begins = False
    return (whole.push(text) + whole.flush()).strip()


def _host(address: str) -> str:
    found = _HOST.match(address)
    return found[1] if found else ""
