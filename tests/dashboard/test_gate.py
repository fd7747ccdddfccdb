"""Nothing is done for who has no token, for another page, or under another name."""

from __future__ import annotations

import pytest

from softadastra import Client
from softadastra.dashboard import Dashboard
from softadastra.dashboard.gate import SECURITY_HEADERS
from softadastra.dashboard.origins import Origins
from softadastra.dashboard.refusals import RefusedError
from softadastra.dashboard.routes import DIRECTORY, PAGE

from .browsing import Asker

READS = ("/api/stream", "/api/keys", "/api/key?key=k", "/api/peer?id=b", "/api/conflicts")
SETTLE = "/api/resolve"
KEEP = {"key": "k", "seen": [], "text": "v", "kind": "text"}


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer wrong-token-of-some-length", "Basic x"]
)
def test_nothing_is_read_or_changed_without_the_token(asker: Asker, authorization: str) -> None:
    headers = {"Authorization": authorization}
    answers = [asker.get(path, headers) for path in READS]
    answers.append(asker.post(SETTLE, KEEP, headers))
    answers.append(asker.get("/no/such/path", headers))

    assert {(each.status, each.reason) for each in answers} == {(401, "unauthorized")}
    assert {each.headers["www-authenticate"] for each in answers} == {"Bearer"}


def test_the_token_is_not_taken_from_an_address(asker: Asker, dashboard: Dashboard) -> None:
    path = f"/api/keys?token={dashboard.token}&access_token={dashboard.token}"

    assert asker.get(path, {"Authorization": None}).status == 401


def test_with_the_token_it_is(asker: Asker) -> None:
    assert asker.get("/api/keys").document == {"keys": [], "next": None}
    assert asker.post(SETTLE, KEEP).reason == "not_found"


@pytest.mark.parametrize("path", [*PAGE])
def test_the_page_itself_needs_no_token(asker: Asker, path: str) -> None:
    answer = asker.get(path, {"Authorization": None})

    assert answer.status == 200
    assert answer.body


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example.org",
        "127.0.0.1.example.org:80",
        "localhost.example.org",
        "192.0.2.1:8765",
        "user@127.0.0.1",
        "127.0.0.1:http",
        "127.0.0.1/x",
        "",
    ],
)
def test_nothing_is_done_under_a_foreign_name(asker: Asker, host: str) -> None:
    for path in ("/", "/api/keys"):
        assert asker.get(path, {"Host": host}).reason == "foreign_host"
    assert asker.post(SETTLE, KEEP, {"Host": host}).status == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8765", "127.0.0.1:9", "[::1]:8765", "127.1.2.3"]
)
def test_this_machine_has_several_names(asker: Asker, host: str) -> None:
    assert asker.get("/api/keys", {"Host": host}).status == 200


def test_a_further_name_is_answered_when_it_is_given(node: Client) -> None:
    with Dashboard(node, port=0, names=["node.example.org"]) as dashboard:
        asker = Asker(dashboard)

        assert asker.get("/", {"Host": "Node.example.org"}).status == 200
        assert asker.get("/", {"Host": "other.example.org"}).status == 421


def test_beyond_this_machine_addresses_are_its_own_and_names_are_not(node: Client) -> None:
    with Dashboard(node, "0.0.0.0", 0, token="correct-horse-battery") as dashboard:
        asker = Asker(dashboard)

        assert asker.get("/", {"Host": "192.0.2.1:8765"}).status == 200
        assert asker.get("/", {"Host": "rebound.example.org"}).status == 421
        assert asker.get("/api/keys", {"Authorization": None}).status == 401


FOREIGN = [
    {"Origin": "https://example.org"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "ftp://127.0.0.1:{port}"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: "".join(headers.values()))
def test_nothing_is_done_for_a_page_of_another_origin(
    asker: Asker, headers: dict[str, str]
) -> None:
    headers = {name: value.format(port=asker.port) for name, value in headers.items()}

    assert asker.post(SETTLE, KEEP, headers).reason == "foreign_origin"
    assert asker.get("/api/keys", headers).status == 403


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_its_own_page_is_answered(asker: Asker, scheme: str) -> None:
    own = {"Origin": f"{scheme}://127.0.0.1:{asker.port}", "Sec-Fetch-Site": "same-origin"}

    assert asker.post(SETTLE, KEEP, own).reason == "not_found"


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_change_is_json_which_no_form_can_send(asker: Asker, kind: str) -> None:
    assert asker.post(SETTLE, KEEP, {"Content-Type": kind}).reason == "not_json"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_a_change_is_a_post(asker: Asker, method: str) -> None:
    assert asker.get(SETTLE, method=method).status == 405


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/keys", "/api/nothing"])
@pytest.mark.parametrize("authorization", [None, "Bearer wrong-token-of-some-length"])
def test_every_answer_forbids_frames_and_what_comes_from_elsewhere(
    asker: Asker, path: str, authorization: str
) -> None:
    answer = asker.get(path, {"Authorization": authorization})

    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "access-control-allow-origin" not in answer.headers


def test_what_is_read_is_kept_nowhere(asker: Asker) -> None:
    assert asker.get("/api/keys").headers["cache-control"] == "no-store"
    assert "server" not in asker.get("/").headers


def test_each_file_of_the_page_is_given_and_no_other(asker: Asker) -> None:
    files = {path.name for path in DIRECTORY.iterdir()}

    assert {name for name, _ in PAGE.values()} == files
    assert asker.get("/../routes.py").status == 404
    assert asker.get("/%2e%2e/routes.py").status == 404
    assert asker.get("/page/index.html").status == 404


def test_a_request_without_a_name_is_told_that_it_has_none() -> None:
    with pytest.raises(RefusedError, match="is not called '': open it at"):
        Origins([], is_local=True).check_host({})
