"""The interface at ``/docs`` in a browser, which may load nothing from anywhere else."""

from playwright.sync_api import Browser, ConsoleMessage, Request

WAIT_MS = 60_000


def test_the_docs_show_every_route_and_ask_nobody_else(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []

    def note_request(request: Request) -> None:
        asked.append(request.url)

    def note_word(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            said.append(message.text)

    page.on("request", note_request)
    page.on("console", note_word)
    page.goto(f"{url}/docs")
    page.get_by_text("Solve a puzzle").wait_for(timeout=WAIT_MS)
    page.locator("#operations-solve-solve").get_by_role("button").first.click()
    page.get_by_role("button", name="Try it out").click(timeout=WAIT_MS)
    page.get_by_role("button", name="Execute").wait_for(timeout=WAIT_MS)
    page.close()
    assert asked
    assert {address for address in asked if not address.startswith(url)} == set()
    assert said == []
