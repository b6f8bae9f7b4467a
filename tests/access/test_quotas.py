"""Scope: what one key may use, and that it is given back."""

import pytest

from protocol.errors import Refused
from realtime.access.quotas import Account, Allowance, Quotas


def test_without_bounds_nothing_is_refused() -> None:
    account = Account()
    for _ in range(1000):
        account.begin_session()
        account.begin_offer()
        account.begin_response(0.0)
        account.spoke(100.0, 0.0)


@pytest.mark.parametrize("what", ["session", "offer", "response"])
def test_at_its_bound_a_key_is_told_which_one_it_is_and_when_to_come_back(what: str) -> None:
    account = Account(Allowance(sessions=2, responses=2, offers=2))
    now = (5.0,) if what == "response" else ()
    begin, end = getattr(account, f"begin_{what}"), getattr(account, f"end_{what}")
    begin(*now)
    begin(*now)
    with pytest.raises(Refused, match=r"\(2\)") as refused:
        begin(*now)
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.retry_after_s
    end()
    begin(*now)


def test_speech_is_counted_for_a_day_from_its_first_second() -> None:
    account = Account(Allowance(speech_s=60.0))
    account.begin_response(1000.0)
    account.spoke(59.0, 1000.0)
    account.begin_response(1100.0)
    account.spoke(30.0, 1100.0)  # what is being spoken is not cut
    with pytest.raises(Refused, match=r"60 s of speech") as refused:
        account.begin_response(1200.0)
    assert refused.value.retry_after_s == 86_400 - 200
    account.begin_response(1000.0 + 86_400)


def test_keys_do_not_use_each_others_share() -> None:
    quotas = Quotas(Allowance(sessions=1))
    quotas.account("shop").begin_session()
    quotas.account("bank").begin_session()
    with pytest.raises(Refused):
        quotas.account("shop").begin_session()
