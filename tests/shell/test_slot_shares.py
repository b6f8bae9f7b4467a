"""Scope: voices shared out among clients: all to one while nobody waits, an even share of them while somebody does."""

from realtime.shell.slot_shares import SlotShares


def test_alone_a_client_may_have_every_voice() -> None:
    greedy = SlotShares().client("greedy")
    assert all(greedy.may_begin(f"r{n}", 8, 0.0) for n in range(8))


def test_while_somebody_waits_who_holds_its_share_begins_nothing_more() -> None:
    shares = SlotShares()
    greedy, modest = shares.client("greedy"), shares.client("modest")
    for n in range(8):
        assert greedy.may_begin(f"r{n}", 8, 0.0)
    assert modest.may_begin("m0", 8, 1.0)  # the engine is asked, and has none
    modest.note_refused("m0", 1.0)
    greedy.end("r0")
    assert not greedy.may_begin("r8", 8, 2.0)
    assert modest.may_begin("m1", 8, 2.0)
    modest.served()
    greedy.end("r1")
    assert greedy.may_begin("r9", 8, 3.0), "nobody waits any more"


def test_what_is_being_spoken_goes_on_whoever_waits() -> None:
    shares = SlotShares()
    greedy, other = shares.client("greedy"), shares.client("other")
    assert greedy.may_begin("r", 1, 0.0)
    assert other.may_begin("o", 1, 0.0)
    other.note_refused("o", 0.0)
    assert greedy.may_begin("r", 1, 1.0), "the next clause of a response that has begun"


def test_who_does_not_come_again_is_waited_for_no_longer() -> None:
    shares = SlotShares()
    greedy, gone = shares.client("greedy"), shares.client("gone")
    assert greedy.may_begin("r0", 2, 0.0)
    assert gone.may_begin("g", 2, 0.0)
    gone.note_refused("g", 0.0)
    assert not greedy.may_begin("r1", 2, 1.0)
    assert greedy.may_begin("r1", 2, 11.0)


def test_sessions_of_one_key_share_one_share_and_those_without_a_key_have_their_own() -> None:
    shares = SlotShares()
    one, another = shares.client("shop"), shares.client("shop")
    anonymous = shares.client()
    assert one.may_begin("a", 4, 0.0)
    assert another.may_begin("b", 4, 0.0)
    assert anonymous.may_begin("c", 4, 0.0)
    anonymous.note_refused("c", 0.0)
    assert not another.may_begin("d", 4, 1.0), "two of four, among two clients"
    assert shares.client().may_begin("e", 4, 1.0)


def test_a_session_that_ends_gives_all_its_voices_back() -> None:
    shares = SlotShares()
    greedy, other = shares.client("greedy"), shares.client("other")
    assert greedy.may_begin("r0", 2, 0.0)
    assert greedy.may_begin("r1", 2, 0.0)
    greedy.close()
    other.note_refused("o", 0.0)
    assert greedy.may_begin("r2", 2, 0.0)
