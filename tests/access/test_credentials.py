"""Scope: where clients put their key, and that nothing they send breaks the search for it."""

import base64
import string
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.access.credentials import credentials, redacted_query

KEY = "sk-voiced-0123456789"
BASIC = base64.b64encode(f":{KEY}".encode()).decode()
printable = st.text(string.printable, max_size=60)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer   {KEY} "},
        {"authorization": f"Token {KEY}"},
        {"authorization": f"Basic {BASIC}"},
        {"authorization": f"Basic {base64.b64encode(f'user:{KEY}'.encode()).decode()}"},
        {"api-key": KEY},
        {"x-api-key": KEY},
        {"xi-api-key": KEY},
        {"x-api-key": KEY, "authorization": f"Bearer {KEY}"},
    ],
)
def test_a_key_is_found_in_every_header_a_client_puts_it_in(headers: dict[str, str]) -> None:
    assert credentials(headers) == [KEY]


def test_a_key_is_found_among_the_sub_protocols_of_a_browser() -> None:
    offered = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-agents-sdk.0.20.1", "openai-beta.realtime-v1"]
    assert credentials({}, offered) == [KEY]
    assert credentials({}, ["realtime", "openai-beta.realtime-v1"]) == []


def test_a_key_is_found_in_a_query_that_may_hold_one() -> None:
    assert credentials({}, query=f"cartesia_version=2024-06-10&api_key={KEY}") == [KEY]
    assert credentials({}, query="cartesia_version=2024-06-10") == []


@pytest.mark.parametrize(
    "value", ["", "Bearer", KEY, "Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Digest x=1"]
)
def test_a_malformed_authorization_counts_as_sent_and_right_for_nobody(value: str) -> None:
    assert credentials({"authorization": value}) == [""]


def test_what_is_longer_than_any_key_is_not_looked_at() -> None:
    assert credentials({"x-api-key": "k" * 513}) == [""]


@given(
    st.dictionaries(st.sampled_from(["authorization", "api-key", "x-api-key", "xi-api-key", "cookie"]), printable),
    st.lists(st.one_of(printable, printable.map("openai-insecure-api-key.".__add__)), max_size=4),
    printable,
)
def test_nothing_a_client_sends_breaks_the_search(headers: dict[str, str], offered: list[str], query: str) -> None:
    found = credentials(headers, offered, query)
    assert len(found) <= 6
    assert all(len(key) <= 512 for key in found)
    redacted_query(query.encode("latin-1"))


@pytest.mark.parametrize("name", ["api_key", "api%5fkey", "%61pi_key"])
def test_a_key_in_the_query_does_not_reach_a_log(name: str) -> None:
    query = f"model=pocket&{name}={KEY}&voice=amy".encode()
    shown = redacted_query(query).decode()
    assert KEY not in shown
    assert parse_qs(shown) == {"model": ["pocket"], "api_key": ["***"], "voice": ["amy"]}
    assert redacted_query(b"model=pocket&flag&x=") == b"model=pocket&flag&x="
