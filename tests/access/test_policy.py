"""Scope: the decision on a request's head: every row of the table against every kind of asker."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.access.keys import ApiKeys, Secrets
from realtime.access.policy import Access, Denied, Head, is_loopback
from realtime.access.rules import RULES, Rule, Table
from realtime.http.replies import status_of

KEY = "sk-voiced-0123456789"
NOW = 1_000_000.0
HOST = "voice.example:8080"
ROWS = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.method} {rule.path}")


def _access(*keys: str, loopback: bool = False) -> Access:
    random = iter(f"random{n}" for n in range(100))
    return Access(ApiKeys(keys), Secrets(lambda: next(random)), ["https://friend.example"], loopback=loopback)


def _head(rule: Rule, host: str = HOST, query: str = "", **headers: str) -> Head:
    path = rule.path.replace("{id}", "amy").replace("{id:path}", "some/model")
    return Head(rule.method, path, {"host": host, **headers}, query=query)


def _bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def _refused(access: Access, head: Head, now: float = NOW) -> Denied:
    with pytest.raises(Denied) as denied:
        access.admit(head, now)
    return denied.value


@ROWS
def test_where_there_are_keys_only_open_routes_answer_without_one(rule: Rule) -> None:
    access = _access(KEY)
    for sent in ({}, _bearer("sk-voiced-0123456780"), _bearer(""), _bearer("ek_unknown"), {"authorization": KEY}):
        if rule.open:
            assert access.admit(_head(rule, **sent), NOW)[1].by == "nobody"
        else:
            denied = _refused(access, _head(rule, **sent))
            assert (status_of(denied.code), denied.code) == (401, "invalid_api_key")
            assert denied.headers == {"www-authenticate": "Bearer"}
            assert "0123456780" not in str(denied)
    found, grant = access.admit(_head(rule, **_bearer(KEY)), NOW)
    assert found == rule
    assert (grant.by, grant.operator) == ("key", True)


@ROWS
@pytest.mark.parametrize("kind", ["realtime", "translation"])
def test_a_secret_opens_the_sessions_of_its_kind_and_nothing_else(rule: Rule, kind: str) -> None:
    for keys in ([KEY], []):
        access = _access(*keys)
        value, secret = access.secrets.mint(kind, b'{"instructions":"Calm."}', 60, "key_1", NOW)  # type: ignore[arg-type]
        head = _head(rule, **_bearer(value))
        if rule.secret == kind:
            grant = access.admit(head, NOW + 59)[1]
            assert (grant.by, grant.name, grant.session) == ("secret", "key_1", b'{"instructions":"Calm."}')
            assert not grant.operator
        elif rule.open:
            assert access.admit(head, NOW)[1].by == "nobody"
        else:
            denied = _refused(access, head)
            assert (status_of(denied.code), denied.code) == (403, "secret_not_allowed")
        if not rule.open:
            expired = _refused(access, head, float(secret.expires_at))
            assert (status_of(expired.code), expired.code) == (401, "invalid_api_key")
            assert "expired" in str(expired)


def test_secrets_open_realtime_sessions_and_translations_alone() -> None:
    opened = {rule.path: rule.secret for rule in RULES if rule.secret is not None}
    sessions = ["/v1/realtime", "/v1/realtime/place", "/v1/realtime/calls", "/v1/realtime/calls/{id}/hangup"]
    assert opened == {**dict.fromkeys(sessions, "realtime"), "/v1/realtime/translations": "translation"}
    assert {rule.path for rule in RULES if rule.open} == {"/", "/browser/{name}", "/healthz", "/readyz"}


@ROWS
def test_without_a_host_no_page_is_from_here(rule: Rule) -> None:
    head = Head(
        rule.method, rule.path.replace("{id:path}", "x").replace("{id}", "x"), {"origin": "null", **_bearer(KEY)}
    )
    if not rule.open:
        assert _refused(_access(KEY), head).code == "origin_not_allowed"


@ROWS
def test_a_key_in_the_query_is_read_where_a_protocol_has_it_so(rule: Rule) -> None:
    head = _head(rule, query=f"api_key={KEY}")
    if rule.open:
        assert _access(KEY).admit(head, NOW)[1].by == "nobody"
    elif rule.path == "/tts/websocket":
        assert _access(KEY).admit(head, NOW)[1].by == "key"
    else:
        assert status_of(_refused(_access(KEY), head).code) == 401


@ROWS
@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        ("https://friend.example", True),
        ("https://FRIEND.example", True),
        (f"http://{HOST}", True),
        (f"https://{HOST}", True),
        ("https://evil.example", False),
        ("null", False),
        ("", False),
        ("http://friend.example", False),
        ("https://friend.example.evil.example", False),
        (f"http://{HOST}.evil.example", False),
        (f"http://evil.example/{HOST}", False),
        (f"http://evil.example@{HOST}", False),
        ("https://[x", False),
    ],
)
def test_pages_are_let_in_from_here_and_from_where_it_is_allowed(rule: Rule, origin: str, welcome: bool) -> None:
    head = _head(rule, origin=origin, **_bearer(KEY))
    if welcome or rule.open:  # to a page from elsewhere an open route says no more than to anybody
        assert _access(KEY).admit(head, NOW)[1].by == ("key" if welcome else "nobody")
    else:
        denied = _refused(_access(KEY), head)
        assert (status_of(denied.code), denied.code) == (403, "origin_not_allowed")


@ROWS
def test_without_keys_a_page_of_a_name_that_points_here_stays_out(rule: Rule) -> None:
    """DNS rebinding: the page's own domain resolves to this machine, so Host and Origin agree."""
    rebound = {"host": "evil.example:8080", "origin": "http://evil.example:8080"}
    for access, code in ((_access(loopback=True), "host_not_allowed"), (_access(), "origin_not_allowed")):
        if not rule.open:
            denied = _refused(access, _head(rule, **rebound))
            assert (status_of(denied.code), denied.code) == (403, code)
    for host in ("127.0.0.1:8080", "localhost:8080", "[::1]:8080", "localhost", "friend.example"):
        for access in (_access(loopback=True), _access()):
            assert access.admit(_head(rule, host, origin=f"http://{host}"), NOW)[1].by == "anonymous"
            assert access.admit(_head(rule, host), NOW)[1].by == "anonymous"


def test_without_keys_programs_may_use_any_name_of_a_server_that_is_open_to_its_network() -> None:
    assert _access().admit(Head("GET", "/v1/models", {"host": "voice-box:8080"}), NOW)[1].operator
    refused = _refused(_access(loopback=True), Head("GET", "/v1/models", {"host": "voice-box:8080"}))
    assert refused.code == "host_not_allowed"


def test_without_keys_a_key_that_a_client_sends_all_the_same_is_fine() -> None:
    head = Head("POST", "/v1/audio/speech", {"host": "localhost", **_bearer("sk-whatever")})
    assert _access(loopback=True).admit(head, NOW)[1].by == "anonymous"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/secret", 404, None),
        ("GET", "/v1/models/", 404, None),
        ("GET", "//v1/models", 404, None),
        ("GET", "/v1/audio/voices/a/b", 404, None),
        ("GET", "/v1/audio/voices/", 404, None),
        ("GET", "/V1/MODELS", 404, None),
        ("GET", "/v1/models\n", 404, None),
        ("WEBSOCKET", "/v1/realtime/", 404, None),
        ("POST", "/v1/models", 405, "GET"),
        ("PUT", "/v1/audio/voices/amy", 405, "GET, DELETE"),
        ("OPTIONS", "/v1/audio/voices", 405, "GET, POST"),
        ("WEBSOCKET", "/v1/models", 405, "GET"),
        ("GET", "/v1/realtime", 426, None),
        ("POST", "/tts/websocket", 426, None),
    ],
)
def test_what_is_not_in_the_table_is_refused_whoever_asks(
    method: str, path: str, status: int, allow: str | None
) -> None:
    for access in (_access(), _access(KEY)):
        denied = _refused(access, Head(method, path, {"host": "localhost", **_bearer(KEY)}))
        assert status_of(denied.code) == status
        assert denied.headers.get("allow") == allow


@given(st.sampled_from(["GET", "HEAD", "POST", "DELETE", "WEBSOCKET", "PATCH", ""]), st.text(max_size=40))
def test_no_path_is_let_in_without_a_key_but_the_open_ones(method: str, path: str) -> None:
    for asked in (path, f"/{path}", f"/v1/{path}", f"/v1/audio/voices/{path}"):
        try:
            rule, grant = _access(KEY).admit(Head(method, asked, {"host": HOST}), NOW)
        except Denied as denied:
            assert status_of(denied.code) in (401, 404, 405, 426)
        else:
            assert rule.open
            assert grant.by == "nobody"


def test_every_row_is_found_by_its_own_path_and_head_is_get() -> None:
    def heads() -> Iterator[tuple[Rule, Head]]:
        for rule in RULES:
            yield rule, _head(rule)

    for rule, head in heads():
        assert Table().rule_for(head.method, head.path) == rule
        assert rule.method in Table().methods_of(head.path)
    assert Table().rule_for("HEAD", "/healthz") == Table().rule_for("GET", "/healthz")
    assert Table().rule_for("HEAD", "/v1/realtime/client_secrets") is None
    assert len({(rule.method, rule.path) for rule in RULES}) == len(RULES)


def test_a_browser_that_asks_first_is_told_the_methods_of_a_path() -> None:
    access = _access(KEY)
    asked = Head("OPTIONS", "/v1/audio/voices/amy", {"host": HOST, "origin": "https://friend.example"})
    assert access.preflight(asked) == ["GET", "DELETE"]
    for path, origin, status in (
        ("/v1/audio/voices", "https://evil.example", 403),
        ("/v1/nothing", "https://friend.example", 404),
        ("/v1/realtime", "https://friend.example", 426),
    ):
        with pytest.raises(Denied) as denied:
            access.preflight(Head("OPTIONS", path, {"host": HOST, "origin": origin}))
        assert status_of(denied.value.code) == status


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.4", False),
        ("localhost.evil.example", False),
        ("voice.example", False),
    ],
)
def test_loopback_is_what_no_other_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
