"""Scope: both encodings against the standard library's json and the `msgpack` package; every bad input is one error."""

import base64
import json
from typing import Any, get_args

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.client_events import ClientEvent
from protocol.encodings import CLIENT_EVENT_TYPES, JSON, MSGPACK, BadMessage, Encoding
from protocol.objects import (
    CallItem,
    InputAudio,
    MessageItem,
    OutputAudio,
    PcmFormat,
    Response,
    ShownResponseAudio,
    ShownVoice,
)
from protocol.server_events import AudioDelta, ContentPartAdded, ItemAdded, Part, ResponseCreated, ServerEvent
from tests.protocol.examples import CLIENT_EVENTS, PCM

ENCODINGS = pytest.mark.parametrize("encoding", [JSON, MSGPACK], ids=["json", "msgpack"])


def _plain(value: Any) -> Any:
    """As JSON carries it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _pack(encoding: Encoding, value: Any) -> bytes:
    return msgpack.packb(value) if encoding.binary else json.dumps(_plain(value)).encode()


def _unpack(encoding: Encoding, data: bytes) -> Any:
    return msgpack.unpackb(data) if encoding.binary else json.loads(data)


def _bad(encoding: Encoding, data: bytes) -> Any:
    with pytest.raises(BadMessage) as bad:
        encoding.decode_client(data)
    body = bad.value.body
    assert body.type == "invalid_request_error"
    assert body.message.endswith((".", "?"))
    assert len(body.message) < 1000
    return body


@ENCODINGS
@pytest.mark.parametrize("message", CLIENT_EVENTS, ids=lambda message: message["type"])
def test_client_events_mean_the_same_in_both_encodings(encoding: Encoding, message: dict[str, Any]) -> None:
    event = encoding.decode_client(_pack(encoding, message))
    assert msgspec.inspect.type_info(type(event)).tag == message["type"]  # type: ignore[attr-defined]
    back = _unpack(encoding, encoding.encode(event))
    wanted = message if encoding.binary else _plain(message)

    def contains(got: Any, want: Any) -> bool:
        if isinstance(want, dict):
            return isinstance(got, dict) and all(contains(got.get(key), inner) for key, inner in want.items())
        if isinstance(want, list):
            return isinstance(got, list) and all(map(contains, got, want)) and len(got) == len(want)
        return bool(got == want)

    assert contains(back, wanted)
    assert encoding.decode_client(encoding.encode(event)) == event


def test_every_client_event_is_in_the_table() -> None:
    assert {message["type"] for message in CLIENT_EVENTS} == set(CLIENT_EVENT_TYPES)
    assert len(CLIENT_EVENT_TYPES) == len(get_args(ClientEvent))


@pytest.mark.parametrize("event", get_args(ServerEvent), ids=lambda event: event.__name__)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_server_events_survive_both_encodings(event: Any, data: st.DataObject) -> None:
    made = data.draw(_events(event))
    for encoding in (JSON, MSGPACK):
        wire = encoding.encode(made)
        assert encoding.decode_server(wire) == made
        shown = _unpack(encoding, wire)
        assert shown["type"] == event.__struct_config__.tag
        assert shown["event_id"]
    assert _plain(msgpack.unpackb(MSGPACK.encode(made))) == json.loads(JSON.encode(made))


def _events(kind: Any) -> st.SearchStrategy[Any]:
    """Instances of a struct, by its types."""
    return st.builds(
        kind,
        **{f.encode_name: _values(f.type) for f in msgspec.inspect.type_info(kind).fields},  # type: ignore[attr-defined]
    )


def _values(kind: Any) -> st.SearchStrategy[Any]:
    inspect = msgspec.inspect
    match kind:
        case inspect.StrType(min_length=least, max_length=most, pattern=None):
            return st.text(st.characters(exclude_categories=["Cs"]), min_size=least or 1, max_size=min(most or 20, 20))
        case inspect.StrType(pattern=str(pattern)):
            return st.from_regex(pattern, fullmatch=True)
        case inspect.IntType(ge=least, le=most):
            return st.integers(0 if least is None else least, 2**40 if most is None else most)
        case inspect.FloatType(ge=least, le=most):
            return st.sampled_from([0.5, *(bound for bound in (least, most) if bound is not None)])
        case inspect.BoolType():
            return st.booleans()
        case inspect.BytesType():
            return st.binary(max_size=40)
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.ListType():
            return st.lists(_values(kind.item_type), max_size=2)
        case inspect.DictType():
            return st.dictionaries(_values(kind.key_type), _values(kind.value_type), max_size=2)
        case inspect.StructType():
            return _events(kind.cls)
        case inspect.UnionType():
            return st.one_of(*[_values(inner) for inner in kind.types])
        case inspect.Metadata():
            return _values(kind.type)
        case inspect.AnyType():
            return st.sampled_from([None, True, "auto", 3, {"group_id": "x"}])
        case inspect.CustomType():
            return st.just(msgspec.UNSET)
    raise AssertionError(f"no values for {kind}")


def test_what_is_absent_stays_off_the_wire() -> None:
    item = MessageItem("i", "assistant", "in_progress", [OutputAudio(transcript="")])
    shown = json.loads(JSON.encode(ItemAdded(event_id="e", item=item, previous_item_id=None)))
    assert shown["item"] == {
        "id": "i",
        "type": "message",
        "object": "realtime.item",
        "role": "assistant",
        "status": "in_progress",
        "content": [{"type": "output_audio", "transcript": ""}],
    }
    part = json.loads(JSON.encode(ContentPartAdded(event_id="e", response_id="r", item_id="i", part=Part(""))))
    assert part["part"] == {"type": "audio", "transcript": ""}
    assert (part["output_index"], part["content_index"]) == (0, 0)
    response = json.loads(
        JSON.encode(
            ResponseCreated(
                event_id="e",
                response=Response(
                    "r", "in_progress", [], "c", ["audio"], ShownResponseAudio(ShownVoice(PcmFormat(), "amy"))
                ),
            )
        )
    )["response"]
    assert response["usage"] is None  # as a whole it may be null, its numbers may not
    assert response["audio"]["output"]["voice"] == "amy"  # a string, however it was asked for
    call = CallItem("i", "f", "{}", "c", "completed")
    shown = json.loads(JSON.encode(ItemAdded(event_id="e", item=call)))["item"]
    assert "content" not in shown
    assert shown["call_id"] == "c"
    user = MessageItem("i", "user", "completed", [InputAudio(transcript=None)])
    part = json.loads(JSON.encode(ItemAdded(event_id="e", item=user)))["item"]["content"][0]
    assert part == {"type": "input_audio", "transcript": None}  # the key must be there, its value may be null


def test_audio_is_base64_in_json_and_bytes_in_msgpack() -> None:
    event = AudioDelta(event_id="e", response_id="r", item_id="i", delta=PCM)
    assert base64.b64decode(json.loads(JSON.encode(event))["delta"], validate=True) == PCM
    assert msgpack.unpackb(MSGPACK.encode(event))["delta"] == PCM


UPDATE = '{"type": "session.update", "event_id": "e9", "session": %s}'
ITEM = '{"type": "conversation.item.create", "event_id": "e9", "item": {"type": "message", %s}}'

MALFORMED = [
    b"",
    b" ",
    b"{",
    b"{'type': 'response.cancel'}",
    b'{"type": "response.cancel"} trailing',
    b'{"type": "response.cancel",}',
    b'{"type": "response.create", "response": NaN}',
    b'{"type": "session.update", "session": {"voiced": {"temperature": NaN}}}',
    b'{"type": "session.update", "session": {"voiced": {"temperature": -Infinity}}}',
    b'{"type": "conversation.item.delete", "item_id": "\\ud800"}',
    b'{"type": "conversation.item.delete", "item_id": "\xff"}',
    b'{"type": "conversation.item.delete", "item_id": "\x00"}',
    b'\xef\xbb\xbf{"type": "response.cancel"}',
    b'{"type": "session.update", "session": {"tools": ' + b"[" * 100_000,
    b'{"type": "session.update", "session": {"tools": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
]


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[:60]))
def test_what_is_no_json_is_invalid_json(data: bytes) -> None:
    assert _bad(JSON, data).code == "invalid_json"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\xdf\xff\xff\xff\xff",
        b"\x82\xa4type",
        b"\x80\x80",
        b"\xc7\xff",
        b"\x81\xa4type\xa1\xff",
    ],
)
def test_what_is_no_msgpack_is_invalid_msgpack(data: bytes) -> None:
    assert _bad(MSGPACK, data).code == "invalid_msgpack"


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("[]", "invalid_value", None),
        ("3", "invalid_value", None),
        ("null", "invalid_value", None),
        ('"response.cancel"', "invalid_value", None),
        ("{}", "unknown_event", "type"),
        ('{"type": null, "event_id": "e9"}', "unknown_event", "type"),
        ('{"type": 7, "event_id": "e9"}', "unknown_event", "type"),
        ('{"type": ["response.cancel"], "event_id": "e9"}', "unknown_event", "type"),
        ('{"type": "response.cancle", "event_id": "e9"}', "unknown_event", "type"),
        ('{"type": "response.audio.delta", "event_id": "e9", "delta": ""}', "unknown_event", "type"),
        ('{"type": "input_audio_buffer.append", "event_id": "e9"}', "missing_required_parameter", "audio"),
        ('{"type": "input_audio_buffer.append", "event_id": "e9", "audio": 3}', "invalid_value", "audio"),
        ('{"type": "response.cancel", "event_id": "e9", "id": "x"}', "unknown_parameter", "id"),
        (UPDATE % '{"audio": {"output": {"volume": 1}}}', "unknown_parameter", "session.audio.output.volume"),
        ('{"type": "session.update", "event_id": "e9"}', "missing_required_parameter", "session"),
        (ITEM % '"role": "user"', "missing_required_parameter", "item.content"),
        (UPDATE % "7", "invalid_value", "session"),
        (UPDATE % '{"instructions": 7}', "invalid_value", "session.instructions"),
        (UPDATE % '{"instructions": null}', "invalid_value", "session.instructions"),
        (UPDATE % ('{"instructions": "%s"}' % ("x" * 9000)), "invalid_value", "session.instructions"),
        (UPDATE % '{"voiced": {"temperature": "hot"}}', "invalid_value", "session.voiced.temperature"),
        (UPDATE % '{"voiced": {"temperature": -1}}', "invalid_value", "session.voiced.temperature"),
        (UPDATE % '{"voiced": {"temperature": 3}}', "invalid_value", "session.voiced.temperature"),
        (UPDATE % '{"voiced": {"top_p": 0}}', "invalid_value", "session.voiced.top_p"),
        (UPDATE % '{"voiced": {"top_k": 1.5}}', "invalid_value", "session.voiced.top_k"),
        (UPDATE % '{"voiced": {"seed": -1}}', "invalid_value", "session.voiced.seed"),
        (UPDATE % '{"output_modalities": ["video"]}', "invalid_value", "session.output_modalities[0]"),
        (UPDATE % '{"audio": {"output": {"voice": ""}}}', "invalid_value", "session.audio.output.voice"),
        (
            UPDATE % '{"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16000}}}}',
            "invalid_value",
            "session.audio.output.format.rate",
        ),
        (
            UPDATE % '{"audio": {"output": {"format": {"type": "audio/mp3"}}}}',
            "invalid_value",
            "session.audio.output.format.type",
        ),
        (
            UPDATE % '{"audio": {"input": {"format": "pcm16"}}}',
            "invalid_value",
            "session.audio.input.format",
        ),
        (
            UPDATE % '{"audio": {"input": {"turn_detection": {"type": "none"}}}}',
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            UPDATE % '{"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}}',
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (UPDATE % '{"audio": {"output": {"speed": 9}}}', "invalid_value", "session.audio.output.speed"),
        (UPDATE % '{"max_output_tokens": 0}', "invalid_value", "session.max_output_tokens"),
        (UPDATE % '{"max_output_tokens": "many"}', "invalid_value", "session.max_output_tokens"),
        (UPDATE % '{"tools": [{"type": "mcp", "server_label": "x"}]}', "invalid_value", "session.tools[0].type"),
        (UPDATE % '{"tool_choice": "maybe"}', "invalid_value", "session.tool_choice"),
        (UPDATE % '{"voiced": {"speakers": {"NARRATOR": "amy"}}}', "invalid_value", None),
        (ITEM % '"role": "robot", "content": []', "invalid_value", "item.role"),
        (ITEM % '"role": "user", "content": []', "invalid_value", "item.content"),
        (ITEM % '"role": "user", "content": [{"type": "input_image"}]', "invalid_value", "item.content[0].type"),
        (
            ITEM % '"role": "user", "content": [{"type": "input_audio", "audio": "@@@@"}]',
            "invalid_value",
            "item.content[0].audio",
        ),
        ('{"type": "conversation.item.delete", "event_id": "e9", "item_id": ""}', "invalid_value", "item_id"),
        (
            '{"type": "conversation.item.truncate", "event_id": "e9", "item_id": "x", "audio_end_ms": -1}',
            "invalid_value",
            "audio_end_ms",
        ),
        (
            '{"type": "conversation.item.truncate", "event_id": "e9", "item_id": "x", "audio_end_ms": 1, '
            '"content_index": 1}',
            "invalid_value",
            "content_index",
        ),
        (
            '{"type": "conversation.item.create", "event_id": "e9", "item": {"role": "user", "content": []}}',
            "missing_required_parameter",
            "item.type",
        ),
        (
            '{"type": "conversation.item.create", "event_id": "e9", "item": {"type": "mcp_call"}}',
            "invalid_value",
            "item.type",
        ),
        (
            '{"type": "response.create", "event_id": "e9", "response": {"conversation": "mine"}}',
            "invalid_value",
            "response.conversation",
        ),
        (
            '{"type": "response.create", "event_id": "e9", "response": {"input": [{"type": "item_reference"}]}}',
            "missing_required_parameter",
            "response.input[0].id",
        ),
        (
            '{"type": "response.create", "event_id": "e9", "response": {"metadata": {"a": 1}}}',
            "invalid_value",
            "response.metadata[...]",
        ),
        (
            '{"type": "response.create", "event_id": "e9", "response": {"metadata": {"a": "%s"}}}' % ("x" * 513),
            "invalid_value",
            "response.metadata[...]",
        ),
        (
            '{"type": "input_text.append", "event_id": "e9", "text": "%s"}' % ("x" * 65537),
            "invalid_value",
            "text",
        ),
    ],
)
def test_what_can_be_read_and_is_wrong_is_named(text: str, code: str, param: str | None) -> None:
    message = json.loads(text)
    for encoding in (JSON, MSGPACK):
        if encoding.binary and "@@@@" in text:
            continue  # any bytes are audio there
        body = _bad(encoding, text.encode() if encoding is JSON else msgpack.packb(message))
        assert body.code == code, body
        assert param is None or body.param == param, body
        assert body.event_id == ("e9" if "e9" in text else None)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["temperature", "top_p"])
def test_numbers_that_are_none_are_refused_in_msgpack(number: float, name: str) -> None:
    message = {"type": "session.update", "event_id": "e9", "session": {"voiced": {name: number}}}
    body = _bad(MSGPACK, msgpack.packb(message))
    assert (body.code, body.event_id) == ("invalid_value", "e9")


def test_numbers_too_large_for_a_float_are_refused_in_json() -> None:
    assert _bad(JSON, (UPDATE % '{"voiced": {"temperature": 1e999}}').encode()).code in (
        "invalid_value",
        "invalid_json",
    )


@ENCODINGS
def test_huge_names_are_not_repeated_in_the_error(encoding: Encoding) -> None:
    huge = "x" * 1_000_000
    for message in (
        {"type": huge},
        {"type": "response.cancel", huge: 1},
        {"type": "response.cancel", "event_id": huge},
        {"type": "conversation.item.delete", "item_id": huge},
        {"type": "session.update", "event_id": huge, "session": 3},
        {"type": "session.update", "session": {"voiced": {"speakers": {huge: "amy"}}}},
    ):
        body = _bad(encoding, _pack(encoding, message))
        assert len(msgspec.json.encode(body)) < 2500


def test_a_key_given_twice_counts_the_last_time() -> None:
    event = JSON.decode_client(b'{"type": "response.cancel", "response_id": "a", "response_id": "b"}')
    assert event == JSON.decode_client(b'{"type": "response.cancel", "response_id": "b"}')


# --- whatever comes; `python -m tests.fuzz` tries much more of it ---

NESTED = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=10),
        st.binary(max_size=9),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.text(max_size=8), st.sampled_from(["type", "session", "item", "event_id", "voiced"])),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


def _only_bad_message(encoding: Encoding, data: bytes) -> None:
    try:
        event = encoding.decode_client(data)
    except BadMessage as bad:
        assert len(msgspec.json.encode(bad.body)) < 10_000
    else:
        encoding.encode(event)


@ENCODINGS
@settings(max_examples=400, deadline=None)
@given(data=st.binary(max_size=80))
def test_random_bytes_are_an_event_or_a_bad_message(encoding: Encoding, data: bytes) -> None:
    _only_bad_message(encoding, data)


@ENCODINGS
@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from([*CLIENT_EVENT_TYPES, ""]),
    fields=st.dictionaries(st.text(max_size=8), NESTED, max_size=3),
    body=NESTED,
)
def test_random_values_are_an_event_or_a_bad_message(encoding: Encoding, kind: str, fields: Any, body: Any) -> None:
    for name in ("session", "item", "response", "item_id"):
        message = {"type": kind, **fields, name: body}
        data = msgpack.packb(message) if encoding.binary else json.dumps(_text_only(message)).encode()
        _only_bad_message(encoding, data)


def _text_only(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: _text_only(inner) for key, inner in value.items()}
    return [_text_only(inner) for inner in value] if isinstance(value, list) else value


@ENCODINGS
@settings(max_examples=400, deadline=None)
@given(
    message=st.sampled_from(CLIENT_EVENTS),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255), st.sampled_from("rid")), max_size=5),
)
def test_damaged_events_are_an_event_or_a_bad_message(encoding: Encoding, message: Any, changes: Any) -> None:
    data = bytearray(_pack(encoding, message))
    for at, byte, how in changes:
        at %= len(data) + 1
        if how == "i":
            data.insert(at, byte)
        elif at < len(data):
            if how == "r":
                data[at] = byte
            else:
                del data[at]
    _only_bad_message(encoding, bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\xa4type\xaesession.update\xa7session\x81\xa5tools\x81\x80\x01",  # a map as a key
        b"\x82\xa4type\xaesession.update\xa7session\x81\xa5tools\x81\x90\x01",  # a list as a key
        b"\x82\xa4type\xaesession.update\xa7session\x81\xa5tools\xc7\x0c\xff" + b"\xff" * 12,  # a time out of range
        b"\x82\xa4type\xaesession.update\xa7session\x81\xa5tools\xd4\x05x",  # an unknown extension
        b"\x81\x80\x01",
        b"\x81\x90\x01",
    ],
)
def test_strange_msgpack_is_an_event_or_a_bad_message(data: bytes) -> None:
    _only_bad_message(MSGPACK, data)


def test_a_number_of_many_digits_is_an_event_or_a_bad_message() -> None:
    for field in ("tools", "voiced", "instructions"):
        _only_bad_message(JSON, (UPDATE % f'{{"{field}": {"9" * 100_000}}}').encode())


HINTS = [
    (UPDATE % '{"audio": {"output": {"format": {"type": "audio/mp3"}}}}', "'audio/pcmu'"),
    (UPDATE % '{"audio": {"input": {"turn_detection": "server_vad"}}}', "{'type': 'server_vad'"),
    (UPDATE % '{"max_output_tokens": "many"}', "25 are a second"),
    (UPDATE % '{"tool_choice": "maybe"}', "'required'"),
    (UPDATE % '{"tools": [{"type": "mcp"}]}', "'function'"),
    (UPDATE % '{"output_modalities": ["video"]}', "['audio'] or ['text']"),
    (ITEM % '"role": "robot", "content": []', "system, user and assistant"),
    (ITEM % '"role": "user", "content": [{"type": "input_image"}]', "input_text, input_audio"),
    (ITEM % '"role": "user", "content": [{"type": "input_audio", "audio": "@"}]', "24 kHz 16-bit mono PCM"),
    ('{"type": "input_audio_buffer.append", "audio": 3}', "24 kHz 16-bit mono PCM"),
    ('{"type": "response.create", "response": {"conversation": "mine"}}', "'none'"),
]


@pytest.mark.parametrize(("text", "hint"), HINTS)
def test_an_error_says_what_would_be_right(text: str, hint: str) -> None:
    assert hint in _bad(JSON, text.encode()).message


def test_a_wrong_audio_object_of_a_session_is_not_taken_for_samples() -> None:
    assert "PCM" not in _bad(JSON, (UPDATE % '{"audio": 7}').encode()).message
