"""What can be taken along: links, commands and programs; and a server that wants keys."""

import ast
import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Download, Page, expect

from gram_server.cli import main
from tests.page.conftest import DRAWN, press, solve, solve_to_end

SETUP = "puzzle=nqueens&is=...Q..../......../......../......../......../......../......../........"
MAZE = [".S.", "..G"]
# A recorder does not write how long a video is: a browser learns it at the end.
WATCHED = """async (address) => {
  const video = Object.assign(document.createElement("video"), { src: address, muted: true });
  const event = (kind) => new Promise((done, fail) => {
    video.addEventListener(kind, done, { once: true });
    video.addEventListener("error", () => fail(new Error(video.error.message)), { once: true });
  });
  await event("loadeddata");
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const pixels = () => {
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    return context.getImageData(560, 0, canvas.width - 560, canvas.height).data;
  };
  const mean = (numbers) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  // A frame may be there to draw some time after its event.
  const frameOtherThan = async (before) => {
    let frame = pixels();
    const isSame = () => frame.every((value, at) => value === before[at]);
    for (let tries = 0; tries < 200 && isSame(); tries += 1) {
      await new Promise((done) => setTimeout(done, 50));
      frame = pixels();
    }
    return frame;
  };
  video.currentTime = 0.01;
  await event("seeked");
  const first = await frameOtherThan(pixels().fill(0));
  video.currentTime = 1e6;
  await event("seeked");
  const size = [canvas.width, canvas.height];
  const seconds = video.currentTime;
  const last = await frameOtherThan(first);
  const change = mean(first.map((value, at) => Math.abs(value - last[at])));
  return { size, seconds, first: mean(first), change };
}"""


@pytest.fixture
def solved(page: Page, url: str) -> Page:
    """The page after a run that shows several solutions."""
    page.goto(f"{url}/#{SETUP}&width=6&depth=24&augment=false")
    solve_to_end(page)
    return page


def votes(page: Page) -> list[int]:
    return [int(text.split()[0]) for text in page.locator(".votes").all_inner_texts()]


def test_a_link_brings_back_the_puzzle_the_controls_and_the_run(
    solved: Page, context: BrowserContext
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    solved.get_by_role("button", name="Copy a link").click()
    expect(solved.get_by_role("button", name="Copied")).to_be_visible()
    link = solved.evaluate("() => navigator.clipboard.readText()")
    other = context.new_page()
    other.goto(link)
    expect(other.locator('[data-at="0,3"]')).to_have_accessible_name("row 1, column 4, queen given")
    assert other.get_by_label("Width").input_value() == "6"
    assert other.get_by_label("Depth").input_value() == "24"
    assert not other.get_by_label("Augment").is_checked()
    # It plays the run by itself.
    other.wait_for_selector("#results[data-phase=done]")
    assert votes(other) == votes(solved) != []
    pictures = "() => [...document.querySelectorAll('#solutions canvas')].map(c => c.toDataURL())"
    assert sorted(other.evaluate(pictures)) == sorted(solved.evaluate(pictures))


@pytest.mark.parametrize("fragment", ["#", "#is=12", "#puzzle=none&is=x", "#puzzle=nqueens&is=Q."])
def test_a_link_that_says_nothing_opens_as_without(page: Page, url: str, fragment: str) -> None:
    page.goto("about:blank")
    page.goto(f"{url}/{fragment}")
    expect(page.get_by_text("This run was recorded.")).to_be_visible()
    expect(page.locator('[data-at="0,0"]')).to_have_text("8")


def test_a_changed_address_changes_the_page(page: Page) -> None:
    page.evaluate("() => { location.hash = 'puzzle=sudoku&is=1...............&width=3'; }")
    expect(page.locator("#board .cell")).to_have_count(16)
    assert page.get_by_label("Width").input_value() == "3"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_curl_command_gives_what_is_on_screen(solved: Page) -> None:
    command = str(solved.locator("#curl").text_content())
    ran = subprocess.run(
        ["bash", "-c", f"{command} --silent"], capture_output=True, text=True, timeout=60
    )
    answer = json.loads(ran.stdout)
    assert [solution["votes"] for solution in answer["solutions"]] == votes(solved)
    assert (answer["width"], answer["depth"]) == (6, 24)


def test_the_python_program_gives_what_is_on_screen_and_operators_see_it(solved: Page) -> None:
    program = str(solved.locator("#python").text_content())
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    lines = [line.split(" ", 1) for line in ran.stdout.splitlines()]
    assert [int(count) for count, _ in lines] == votes(solved)
    assert all(len(ast.literal_eval(answer)) == 8 for _, answer in lines)
    strip = solved.get_by_role("group", name="State of the server")
    expect(strip).to_have_text("ready")
    solved.get_by_text("For operators").click()
    expect(solved.locator("#numbers")).to_have_text(
        re.compile(r"0 waiting · 0 running · p50 [\d.]+ m?s · p95 [\d.]+ m?s")
    )


def test_a_run_can_be_stopped_and_the_next_one_started(page: Page) -> None:
    solve(page, example="A hard one", width=64)
    page.wait_for_selector(".tile.running")
    page.keyboard.press("Escape")
    expect(page.locator("#headline")).to_contain_text("Stopped")
    solve(page, example="An easy one", width=2)
    expect(page.locator("#headline")).to_have_text("1 distinct solution")


def saved(page: Page, button: str) -> Download:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value


def test_a_picture_of_what_is_shown_is_saved(page: Page) -> None:
    pictures = []
    for key in ("Home", "End"):
        page.get_by_label("Step of the run").press(key)
        page.evaluate(DRAWN)
        download = saved(page, "Save a picture")
        assert download.suggested_filename == "gram-sudoku.png"
        with Image.open(download.path()) as picture:
            assert (picture.format, picture.size) == ("PNG", (1200, 630))
            pictures.append(picture.convert("RGB"))
    first, last = pictures
    assert all(len(picture.getcolors(1 << 20) or []) > 100 for picture in pictures)
    boards = (48, 92, 528, 572)
    assert first.crop(boards).tobytes() != last.crop(boards).tobytes()
    expect(page.locator("#live")).to_have_text("The picture is saved")


@pytest.mark.parametrize("family", ["Queens", "Colouring"])
def test_every_family_has_its_picture_before_a_run_too(page: Page, family: str) -> None:
    press(page, family)
    expect(page.get_by_role("button", name="Save a video")).to_be_hidden()
    with Image.open(saved(page, "Save a picture").path()) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50


def test_a_video_of_the_run_is_saved_once_by_a_double_click(
    solved: Page, browser: Browser, url: str
) -> None:
    with solved.expect_download() as download:
        solved.get_by_role("button", name="Save a video").dblclick()
        expect(solved.get_by_role("button", name="Making the video")).to_be_visible()
    more: list[Download] = []
    solved.on("download", lambda one: more.append(one))
    name = download.value.suggested_filename
    assert name == "gram-nqueens.webm"
    content = Path(download.value.path()).read_bytes()
    watching = browser.new_page()
    address = f"data:video/webm;base64,{base64.b64encode(content).decode()}"
    video = watching.evaluate(WATCHED, address)
    watching.close()
    assert video["size"] == [1200, 630]
    # All of it, also where the browser encodes slower than the page paints.
    assert video["first"] > 0
    assert 2 < video["seconds"] < 15
    assert video["change"] > 0.5
    expect(solved.get_by_role("button", name="Save a video")).to_be_enabled()
    expect(solved.locator("#live")).to_have_text("The video is saved")
    assert more == []


def test_a_browser_that_makes_no_videos_is_not_offered_one(
    context: BrowserContext, url: str
) -> None:
    context.add_init_script("delete window.MediaRecorder")
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_text("This run was recorded.")).to_be_visible()
    expect(page.get_by_role("button", name="Save a picture")).to_be_visible()
    expect(page.get_by_role("button", name="Save a video")).to_be_hidden()


@pytest.fixture(scope="module")
def guarded(
    serve: Callable[..., str], maze_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """A server that wants keys and has a model for small mazes; and a key to solve with."""
    made = CliRunner().invoke(main, ["key", "visitor", "--scope", "solve"])
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text(json.dumps({"keys": [json.loads(made.stdout)]}))
    return serve("--keys", str(path), "--model", str(maze_model)), made.stderr.split()[-1]


def test_a_server_that_wants_a_key_is_given_one_and_a_maze_to_solve(
    guarded: tuple[str, str], context: BrowserContext
) -> None:
    url, key = guarded
    page = context.new_page()
    page.goto(url)
    field = page.get_by_label("This server wants an API key")
    expect(field).to_be_visible()
    expect(page.locator("#strip-state")).to_have_text("ready")
    page.get_by_text("For operators").click()
    expect(page.locator("#numbers")).to_have_text("Metrics need an admin key.")
    field.fill("wrong")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#key-why")).to_have_text("the key is not known")
    field.fill(key)
    page.get_by_role("button", name="Use it").click()
    expect(field).to_be_hidden()
    press(page, "Maze")
    press(page, "Clear")
    paint(page)
    solve_to_end(page, width=32, seed=3)
    expect(page.locator("#headline")).to_have_text("2 distinct solutions")
    assert page.locator("#board .cell.path").count() == 1
    assert page.evaluate("() => [...Object.values(localStorage)].join()").find(key) < 0
    expect(page.locator("#curl")).to_contain_text('-H "Authorization: Bearer $GRAM_API_KEY"')
    assert key not in page.content()


def paint(page: Page) -> None:
    """Draw the maze of MAZE with the tools below the board, walled off at first."""
    cells = page.locator("#board .cell")
    boxes = [cells.nth(at).bounding_box() for at in range(6)]
    page.get_by_role("button", name="Wall").click()
    for at, act in ((1, page.mouse.down), (4, page.mouse.up)):
        box = boxes[at]
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
        act()
    expect(page.locator("#board .wall")).to_have_count(2)
    solve(page)
    expect(page.get_by_role("alert")).to_contain_text("walls lie between start and goal")
    expect(page.locator("#board .clash")).to_have_count(2)
    for tool, at in (("Free", 4), ("Start", 1)):
        page.get_by_role("button", name=tool).click()
        cells.nth(at).click()
    page.get_by_text("As text, to paste").click()
    assert page.get_by_label("The puzzle as text").input_value().split("\n") == MAZE
