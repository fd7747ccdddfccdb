"""Somebody else's page, in the browser of who has the token, gets nothing and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from softadastra import Client
from softadastra.dashboard import Dashboard
from tests.eventually import eventually

from .chromium import Page, chromium

ELSEWHERE = "rebound.example"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    leads_here = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"
    with chromium(tmp_path_factory.mktemp("profile"), leads_here) as page:
        yield page


class EmptyPage(BaseHTTPRequestHandler):
    """A page without anything, in which a test does what a page could do."""

    def do_GET(self) -> None:
        content = b"<!doctype html><title>somebody else</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def somebody_else() -> Iterator[str]:
    """Serve a page at another port of this machine: same site, other origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def tried(page: Page, script: str, *arguments: object) -> Any:
    """Let a page do something, and give what came of it."""
    run = f"""
        const done = arguments[arguments.length - 1];
        const [url, token] = arguments;
        (async () => {{ {script} }})().then(done, (error) => done(`refused: ${{error.message}}`));
    """
    return page.driver.execute_async_script(run, *arguments)


@pytest.fixture
def settled_by_hand(conflicting: Client) -> Iterator[Dashboard]:
    with Dashboard(conflicting, port=0) as dashboard:
        yield dashboard


def test_it_reads_nothing_even_with_the_token(browser: Page, dashboard: Dashboard) -> None:
    with somebody_else() as elsewhere:
        browser.visit(elsewhere)
        for path in ("api/keys", "", "healthz", "metrics"):
            told = tried(
                browser,
                "return (await fetch(url, {headers: {Authorization: token}})).text()",
                dashboard.url + path,
                f"Bearer {dashboard.token}",
            )

            assert told == "refused: Failed to fetch"


def test_it_settles_nothing(browser: Page, settled_by_hand: Dashboard, conflicting: Client) -> None:
    (conflict, *_) = before = conflicting.conflicts()
    seen = ", ".join(f'"{each.sync_id}"' for each in conflict.values)
    body = f'{{"key": "cart/1", "seen": [{seen}], "text": "x", "kind": "text"}}'
    with somebody_else() as elsewhere:
        browser.visit(elsewhere)
        told = tried(
            browser,
            f"""
            const body = '{body}', method = 'POST', mode = 'no-cors';
            return (await fetch(url + 'api/resolve', {{ method, mode, body }})).type;
            """,
            settled_by_hand.url,
        )
        assert told == "refused: Failed to fetch"
        browser.run(
            """
            const form = document.createElement('form');
            Object.assign(form, {method: 'post', action: arguments[0], enctype: 'text/plain'});
            const field = document.createElement('input');
            Object.assign(field, {name: arguments[1], value: ''});
            form.append(field);
            document.body.append(form);
            form.submit();
            """,
            f"{settled_by_hand.url}api/resolve",
            body,
        )
        eventually(lambda: "foreign_origin" in browser.text("body"))

    assert conflicting.conflicts() == before


def test_it_cannot_put_the_page_into_a_frame(browser: Page, dashboard: Dashboard) -> None:
    with somebody_else() as elsewhere:
        browser.visit(elsewhere)
        browser.run(
            """
            const frame = document.createElement('iframe');
            frame.src = arguments[0];
            document.body.append(frame);
            """,
            dashboard.link,
        )

        said: list[str] = []

        def is_refused() -> bool:
            said.extend(browser.complaints())
            return any("frame-ancestors" in each for each in said)

        eventually(is_refused)


def test_its_name_may_lead_here_and_brings_nothing(browser: Page, dashboard: Dashboard) -> None:
    browser.visit(f"http://{ELSEWHERE}:{dashboard.port}/#token={dashboard.token}")

    assert "foreign_host" in browser.text("body")
    told = tried(
        browser,
        "return (await fetch(url, {headers: {Authorization: token}})).text()",
        "/api/keys",
        f"Bearer {dashboard.token}",
    )
    assert "foreign_host" in told
