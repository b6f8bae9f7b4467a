"""Scope: API keys and client secrets: who is known, for how long, and that neither is kept."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.access.keys import ApiKeys, Secrets, TooManySecrets

KEY = "sk-voiced-0123456789"
OTHER = "sk-voiced-9876543210"


def _secrets(limit: int = 4096, *, shared: bool = False) -> Secrets:
    numbers = itertools.count()
    return Secrets(lambda: f"random{next(numbers)}", limit, shared=shared)


def test_a_key_is_known_by_its_whole_text_and_named_without_telling_it() -> None:
    keys = ApiKeys([KEY, OTHER])
    names = {keys.name(KEY), keys.name(OTHER)}
    assert None not in names
    assert len(names) == 2
    assert not any(KEY[:6] in str(name) for name in names)
    for wrong in ("", KEY[:-1], KEY + " ", KEY.upper(), "sk-voiced-0123456780", "\ud800", "ключ"):
        assert keys.name(wrong) is None


def test_without_keys_nobody_is_known() -> None:
    assert not ApiKeys([])
    assert ApiKeys([]).name("") is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("short", "can be guessed"),
        ("", "can be guessed"),
        ("ek_0123456789abcdef", "marks client secrets"),
        ("with a space 0123456789", "do not travel"),
        ("with,comma,0123456789", "do not travel"),
        ("schlüssel-0123456789", "do not travel"),
        ("line\nbreak-0123456789", "do not travel"),
        ("x" * 300, "at most 256"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_without_repeating_it(key: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        ApiKeys([KEY, key])
    assert "key 2" in str(refused.value)
    assert not key or key not in str(refused.value)


def test_neither_keys_nor_secrets_can_be_read_back_from_what_is_kept() -> None:
    keys, secrets = ApiKeys([KEY]), _secrets()
    value, _ = secrets.mint("realtime", b"{}", 600, "key_1", 0.0)
    kept = repr([vars(keys), vars(secrets)])
    assert KEY not in kept
    assert value not in kept
    assert value.removeprefix("ek_") not in kept


def test_a_secret_opens_as_often_as_wanted_until_it_expires() -> None:
    secrets = _secrets()
    value, minted = secrets.mint("realtime", b'{"a":1}', 10, "key_1", 1000.9)
    assert value.startswith("ek_")
    assert minted.expires_at == 1010
    for now in (1000.9, 1005.0, 1009.99):
        assert secrets.redeem(value, now) == minted
    for now in (1010.0, 1e9):
        assert secrets.redeem(value, now) is None


def test_a_secret_that_was_not_minted_here_opens_nothing() -> None:
    secrets = _secrets()
    value, _ = secrets.mint("realtime", b"{}", 600, "key_1", 0.0)
    for wrong in ("", "ek_", value + "0", value[:-1], "ek_random1"):
        assert secrets.redeem(wrong, 1.0) is None


def test_secrets_are_bounded_and_room_comes_back_as_they_expire() -> None:
    secrets = _secrets(limit=3)
    first, _ = secrets.mint("realtime", b"{}", 10, "key_1", 0.0)
    for _ in range(2):
        secrets.mint("translation", b"{}", 600, "key_1", 0.0)
    with pytest.raises(TooManySecrets) as refused:
        secrets.mint("realtime", b"{}", 10, "key_1", 4.0)
    assert refused.value.retry_after_s >= 6
    assert secrets.redeem(first, 5.0) is not None, "one too many takes nothing from the others"
    secrets.mint("realtime", b"{}", 10, "key_1", 4.0 + refused.value.retry_after_s)
    assert len(secrets) == 3


def test_one_key_of_several_leaves_half_of_the_secrets_to_the_others() -> None:
    secrets = _secrets(limit=4, shared=True)
    for _ in range(2):
        secrets.mint("realtime", b"{}", 600, "key_1", 0.0)
    with pytest.raises(TooManySecrets) as refused:
        secrets.mint("realtime", b"{}", 10, "key_1", 1.0)
    assert refused.value.retry_after_s >= 599, "when the first of its own expires"
    secrets.mint("realtime", b"{}", 10, "key_2", 1.0)
    secrets.mint("realtime", b"{}", 10, "key_1", 601.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(10, 40)), max_size=40))
def test_no_order_of_minting_keeps_more_than_the_limit_or_opens_an_expired_one(
    mints: list[tuple[float, int]],
) -> None:
    secrets, now, alive = _secrets(limit=4), 0.0, {}
    for passed, seconds in mints:
        now += passed
        try:
            value, minted = secrets.mint("realtime", b"{}", seconds, "k", now)
            alive[value] = minted.expires_at
        except TooManySecrets as error:
            assert error.retry_after_s >= 1
        assert len(secrets) <= 4
        for value, expires_at in alive.items():
            assert (secrets.redeem(value, now) is not None) == (now < expires_at)
