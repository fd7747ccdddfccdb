"""The page shows a real node in a real browser, and needs neither a mouse nor a wide screen."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.common.keys import Keys

from softadastra import Client, ClientOptions, Peer
from softadastra.dashboard import Dashboard
from tests.eventually import eventually

from .chromium import Page, chromium

HOSTILE = '<img src="x" onerror="window.wasRun = true"><script>window.wasRun = true</script>'
TABS_MAX = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, dashboard: Dashboard) -> Page:
    """The page of a node, live, without a complaint of the browser."""
    browser.open(dashboard.link)
    return browser


def test_it_loads_from_nowhere_else_and_without_complaints(
    page: Page, dashboard: Dashboard
) -> None:
    eventually(lambda: page.text("#keys-told"))
    requests = page.requests()

    assert page.complaints() == []
    assert page.driver.title == "node-a · Softadastra"
    assert {each["url"].startswith(dashboard.url) for each in requests} == {True}
    assert len(requests) >= 14


def test_the_token_leaves_the_address_and_goes_into_a_header(
    page: Page, dashboard: Dashboard
) -> None:
    eventually(lambda: page.text("#keys-told"))
    requests = page.requests()

    assert page.driver.current_url == dashboard.url
    asked = [each for each in requests if "/api/" in each["url"]]
    assert {each["headers"]["Authorization"] for each in asked} == {f"Bearer {dashboard.token}"}
    assert not any(dashboard.token in each["url"] for each in requests)


def test_a_put_is_shown_as_it_happens(page: Page, node: Client) -> None:
    node.put("sale/1", {"total": 350})

    eventually(lambda: "sale/1" in page.text("#happenings-list"))
    assert '{"total": 350}' in page.text("#happenings-list li:first-child")
    eventually(lambda: page.text("#tiles").startswith("Keys1"))


def test_while_it_is_paused_nothing_moves_and_nothing_is_lost(page: Page, node: Client) -> None:
    page.find("#pause").send_keys(Keys.ENTER)
    assert page.attribute("#pause", "aria-pressed") == "true"
    node.put("k", "while paused")

    eventually(lambda: page.text("#happenings-told") == "Paused. 1 since then.")
    assert "while paused" not in page.text("#happenings-list")
    page.find("#pause").send_keys(Keys.ENTER)

    assert "while paused" in page.text("#happenings-list")


def test_what_is_stored_is_text_whatever_it_is(page: Page, node: Client) -> None:
    node.put(HOSTILE, HOSTILE)
    eventually(lambda: HOSTILE in page.text("#happenings-list"))
    page.find("#keys-form button").click()
    eventually(lambda: HOSTILE in page.text("#keys-list"))
    page.find("#keys-list summary").click()
    eventually(lambda: page.text("#keys-list pre") == HOSTILE)

    assert page.find_all("#views img, #views script") == []
    assert page.run("return window.wasRun") is None
    assert page.complaints() == []


def test_the_browser_lets_no_text_become_html(page: Page) -> None:
    with pytest.raises(JavascriptException, match="TrustedHTML"):
        page.run("document.body.innerHTML = 'text'")
    with pytest.raises(JavascriptException, match="TrustedScript"):
        page.run("document.createElement('script').text = 'window.wasRun = true'")


def level_of(page: Page, peer: str) -> str:
    return page.attribute(f'#peer-list [data-peer="{peer}"]', "data-level")


def listening(name: str, stack: ExitStack, port: int = 0) -> Client:
    client = stack.enter_context(Client(ClientOptions.memory_only(name).with_local_transport(port)))
    client.start_transport()
    return client


def test_a_peer_that_falls_behind_changes_colour_shape_and_words(browser: Page) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ExitStack() as stack:
        a, b = listening("node-a", stack), listening("node-b", stack, port)
        a.connect(Peer.local("node-b", port))
        browser.open(stack.enter_context(Dashboard(a, port=0)).link)
        eventually(lambda: level_of(browser, "node-b") == "step")
        in_step = browser.style("#peer-list .mark", "backgroundColor")
        assert browser.kind("#graph .mark-shape") == "circle"
        assert "node-b in step" in browser.attribute("#graph svg", "aria-label")

        b.stop_transport()
        a.put("k", 1)
        eventually(lambda: level_of(browser, "node-b") == "near")
        assert "1 behind" in browser.text("#peer-list")
        eventually(lambda: browser.style("#peer-list .mark", "backgroundColor") != in_step)
        assert browser.kind("#graph .mark-shape") == "rect"
        assert browser.style("#graph .link", "strokeDasharray") != "none"
        eventually(lambda: "lacks writes" in browser.text("#verdict"))
        browser.find("#peer-list summary").send_keys(Keys.ENTER)
        eventually(lambda: "node-b lacks 1 write of this node" in browser.text("#peer-list .why"))

        b.start_transport()
        eventually(lambda: level_of(browser, "node-b") == "step", 40)
        assert "everything" in browser.text("#verdict")


@pytest.mark.parametrize(
    ("state", "lag", "lag_ms", "level"),
    [
        ("connected", 0, 0, "step"),
        ("connected", 3, 2_000, "near"),
        ("connected", 3, 40_000, "far"),
        ("stale", 3, 2_000, "near"),
        ("faulted", 3, 2_000, "far"),
        ("stale", 0, 0, "away"),
        ("suspended", 0, 0, "away"),
    ],
)
def test_how_far_behind_is_a_level(
    page: Page, state: str, lag: int, lag_ms: int, level: str
) -> None:
    peer = f"{{state: '{state}', lag: {lag}, lag_ms: {lag_ms}}}"

    assert page.call("peers.js", f"module.standing({peer}).level") == level


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until something has the focus, and see that it shows."""
    for _ in range(TABS_MAX):
        page.press(Keys.TAB)
        if page.run("return document.activeElement.matches(arguments[0])", selector):
            outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            return
    raise AssertionError(f"no key leads to {selector}")


@pytest.fixture
def conflicted(browser: Page, conflicting: Client) -> Iterator[Page]:
    with Dashboard(conflicting, port=0) as dashboard:
        browser.open(dashboard.link)
        eventually(lambda: browser.find_all(".conflict"))
        yield browser


def test_a_conflict_is_settled_by_keyboard_alone(conflicted: Page, conflicting: Client) -> None:
    form = 'form[data-key="cart/1"]'
    shown = conflicted.text(f"{form} pre")
    assert "tea" in shown
    assert '{"scones": 2}' in shown
    first = conflicted.find_all(f"{form} pre")[1].text

    tab_to(conflicted, f"{form} input[type=radio]")
    conflicted.press(Keys.ARROW_DOWN)
    tab_to(conflicted, f"{form} button")
    conflicted.press(Keys.ENTER)

    eventually(lambda: "Settled cart/1 by node-a-" in conflicted.text("#conflicts-told"))
    assert [each.key for each in conflicting.conflicts()] == ["cart/2", "price"]
    assert str(conflicting["cart/1"]).replace("'", '"') == first
    eventually(lambda: conflicted.find_all(form) == [])
    assert conflicted.run("return document.activeElement.closest('#conflicts') !== null")


def test_another_value_is_typed_by_keyboard(conflicted: Page, conflicting: Client) -> None:
    form = 'form[data-key="cart/1"]'
    tab_to(conflicted, f"{form} textarea")
    conflicted.press('{"tea": 1, "scones": 2}')
    tab_to(conflicted, f"{form} select")
    conflicted.press("J")
    tab_to(conflicted, f"{form} button")
    conflicted.press(Keys.ENTER)

    eventually(lambda: "cart/1" not in [each.key for each in conflicting.conflicts()])
    assert conflicting["cart/1"] == {"tea": 1, "scones": 2}


def test_what_is_wrong_with_a_choice_is_said_where_it_was_made(
    conflicted: Page, conflicting: Client
) -> None:
    form = 'form[data-key="cart/1"]'
    conflicted.find(f"{form} textarea").send_keys("{")
    conflicted.find(f"{form} select").send_keys("J")
    conflicted.find(f"{form} button").send_keys(Keys.ENTER)

    eventually(lambda: "not JSON" in conflicted.text(f"{form} .refusal"))
    assert len(conflicting.conflicts()) == 3
    assert conflicted.find(f"{form} textarea").get_attribute("value") == "{"


def test_conflicts_that_were_settled_by_themselves_can_be_settled_anew(
    conflicted: Page, conflicting: Client
) -> None:
    conflicted.find("#settled > summary").send_keys(Keys.ENTER)
    eventually(lambda: conflicted.find_all('#settled [data-key="price"]'))
    conflicted.find_all('#settled [data-key="price"] input')[1].send_keys(Keys.SPACE)
    conflicted.find('#settled [data-key="price"] button').send_keys(Keys.ENTER)

    eventually(lambda: conflicting["price"] == 1)


def test_keys_are_searched_and_paged_by_keyboard(page: Page, node: Client) -> None:
    node.update({f"sale/{number:03}": number for number in range(70)} | {"other": 1})
    tab_to(page, "#keys-prefix")
    page.press("sale/", Keys.ENTER)
    eventually(lambda: page.text("#keys-told") == "50 keys so far.")

    tab_to(page, "#keys-more")
    page.press(Keys.ENTER)

    eventually(lambda: page.text("#keys-told") == "70 keys.")
    assert "other" not in page.text("#keys-list")
    assert page.focused.text.startswith("sale/050")
    page.press(Keys.ENTER)
    eventually(lambda: "version 1, node-a-" in page.text('[data-key="sale/050"] .inside'))


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_width_makes_it_scroll_sideways(page: Page, node: Client, width: int) -> None:
    node.put("k" * 600, "v" * 5_000)
    node.put("w/" + "long-word" * 20, {"x": "y" * 500})
    page.resize(width, 700)
    page.find("#keys-form button").click()
    eventually(lambda: len(page.find_all("#keys-list li")) == 2)
    for summary in page.find_all("#keys-list summary"):
        page.run("arguments[0].click()", summary)
    eventually(lambda: len(page.find_all("#keys-list pre")) == 2)
    eventually(lambda: len(page.find_all("#happenings-list li")) >= 2)

    assert page.run("return document.documentElement.scrollWidth") == width
    scrolled = page.run(
        "return [...document.querySelectorAll('main *')]"
        ".filter((each) => each.scrollWidth > each.clientWidth + 1)"
        ".filter((each) => ['auto', 'scroll'].includes(getComputedStyle(each).overflowX))"
        ".map((each) => each.id || each.tagName)"
    )
    assert scrolled == []
    buttons = page.run(
        "return [...document.querySelectorAll('button, summary, input, select, textarea')]"
        ".filter((each) => each.offsetParent).map((each) => each.getBoundingClientRect().right)"
    )
    assert max(buttons) <= width


def contrast(page: Page, selector: str) -> float:
    """The contrast of a text with what is behind it (WCAG 2.2, 1.4.3)."""
    colours = page.run(
        """
        let element = document.querySelector(arguments[0]);
        const text = getComputedStyle(element).color;
        let ground = "rgba(0, 0, 0, 0)";
        while (/, 0\\)$/.test(ground)) {
          ground = getComputedStyle(element).backgroundColor;
          element = element.parentElement;
        }
        return [text, ground];
        """,
        selector,
    )
    lights = sorted(map(luminance, colours))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_as_the_reader_has_it_and_both_are_readable(
    page: Page, node: Client, scheme: str
) -> None:
    node.put("k", 1)
    eventually(lambda: page.find_all("#happenings-list li"))
    page.prefer(scheme)
    is_dark = luminance(page.style("body", "backgroundColor")) < 0.2

    assert is_dark is (scheme == "dark")
    for selector in (
        "h2", ".tile .quiet", "#verdict", "#connection", "#keys-form button", "#pause",
        "#happenings-list .what", "#happenings-list time", ".legend li",
    ):  # fmt: skip
        assert contrast(page, selector) >= 4.5, selector


def test_everything_that_can_be_used_has_a_name(conflicted: Page) -> None:
    found = conflicted.find_all("button, input, select, textarea, summary, pre")
    used = [each for each in found if each.is_displayed()]
    names = {each.get_attribute("outerHTML"): each.accessible_name for each in used}

    assert len(used) > 15
    assert [html for html, name in names.items() if not name] == []
    for drawn in ("#graph svg", "#chart svg"):
        assert conflicted.attribute(drawn, "role") == "img"
        assert conflicted.attribute(drawn, "aria-label")
    headings = [each.text for each in conflicted.find_all("h2") if each.is_displayed()]
    assert headings[1:] == ["Peers", "Conflicts", "Outbox", "Keys", "What happens"]


def test_without_the_token_it_asks_for_it_and_shows_nothing(
    browser: Page, dashboard: Dashboard, node: Client
) -> None:
    node.put("k", "secret")
    browser.visit(dashboard.url)
    eventually(lambda: browser.text("#connection") == "Token needed")
    assert not browser.find("#views").is_displayed()
    assert "secret" not in browser.text("main")
    assert browser.focused.get_attribute("id") == "token-input"

    browser.press(dashboard.token, Keys.ENTER)

    eventually(lambda: browser.text("#connection") == "Live")
    assert browser.find("#views").is_displayed()
    assert not browser.find("#token").is_displayed()


def test_it_comes_back_by_itself_when_the_node_does_and_says_so(
    browser: Page, tmp_path: Path
) -> None:
    options = ClientOptions.persistent("node-a", tmp_path / "a.wal")
    token = "correct-horse-battery"
    with Client(options) as node, Dashboard(node, port=0, token=token) as dashboard:
        node.put("k", 1)
        port = dashboard.port
        browser.open(dashboard.link)
    eventually(lambda: browser.text("#connection").startswith("Not connected"))

    with Client(options) as node, Dashboard(node, port=port, token=token):
        eventually(lambda: browser.text("#connection") == "Live, after a restart", 40)
        assert "the node was started again" in browser.text("#happenings-list")
        node.put("after", "the restart")
        eventually(lambda: "the restart" in browser.text("#happenings-list"))


def test_when_the_token_is_another_one_it_says_why_it_asks(browser: Page, node: Client) -> None:
    with Dashboard(node, port=0) as dashboard:
        port = dashboard.port
        browser.open(dashboard.link)
    with Dashboard(node, port=port):
        eventually(lambda: browser.text("#connection") == "Token needed", 40)
        assert "another token now" in browser.text("#token-words")


def test_the_outbox_is_drawn_over_time(page: Page, node: Client) -> None:
    node.put("k", 1)

    eventually(lambda: page.text("#outbox-now") == "1 queued.")
    drawn = page.attribute('#chart .area[data-part="queued"]', "points")
    assert len(drawn.split()) >= 4
    assert "1 queued" in page.attribute("#chart svg", "aria-label")
