"""report.html in a real Chromium: at phone width, dark, without its network, and for those who do
not see it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.errors import ErrorKind, Status
from storyreel.ledger.rows import State, Take
from storyreel.plan.make import PriceRange
from storyreel.report.build import build
from storyreel.report.model import CutReport, RunReport, SeamReport
from storyreel.report.outcome import Outcome, outcome_of
from storyreel.report.writers import html
from storyreel.workspace.folder import Workspace
from tests.clips import clip
from tests.zoo import Odd, make

NASTY = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
BOARD = """\
version: 1
title: {title}
defaults: {{model: kling-video-o1}}
scenes:
  - {{id: door, prompt: "a keeper opens the door", takes: 2}}
  - {{id: stairs, prompt: "he climbs", first_frame: previous}}
  - {{id: lamp, prompt: "the lamp", first_frame: previous}}
  - {{id: night, prompt: "the night"}}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed (apt-get install chromium; .ci/run does)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        yield started
        started.close()


def told(folder: Path) -> RunReport:
    """A run with everything in it: takes, a failure, a held scene, seams, a film, and a server's
    nasty words.
    """
    (folder / "board.yaml").write_text(BOARD.format(title="'<b>Lighthouse</b>'"))
    storyboard = manifest.load(folder / "board.yaml", catalog.load())
    price = PriceRange(Decimal("4"), Decimal("4"), "CNY")

    def row(scene: str, take: int, state: State, begun: float, **more: object) -> Take:
        path = f"clips/{scene}/take-{take}.mp4"
        made = clip(path, width=320, height=180, frames=24)
        if state is State.COLLECTED:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            make(Odd(), folder / path)
        values = {
            "id": take, "storyboard": "board", "scene": scene, "take": take, "key": "k", "ordinal": take, "state": state,
            "superseded": False, "account": "a", "run_id": "r", "request": {}, "inputs": {}, "price": Decimal("4"),
            "currency": "CNY", "submissions": 1, "created_at": begun, "submitted_at": begun, "completed_at": begun + 60,
            "collected_at": begun + 66, "expires_at": None, "polls": 7, "job_id": f"q-{scene}", "error_class": None,
            "error_code": None, "error_message": None, "clip": made if state is State.COLLECTED else None, **more,
        }  # fmt: skip
        return Take(**values)  # type: ignore[arg-type]

    scenes = storyboard.by_id
    good = [
        row("door", 1, State.COLLECTED, 0),
        row("door", 2, State.COLLECTED, 5),
        row("stairs", 1, State.COLLECTED, 70),
    ]
    outcomes = [
        outcome_of(scenes[one.scene], one, "new", price, used=one is not good[1]) for one in good
    ]
    outcomes += [
        Outcome(
            scenes["lamp"],
            Status.FAILED,
            NASTY,
            row("lamp", 1, State.FAILED, 140),
            1,
            ErrorKind.MODERATION,
            "x",
            NASTY,
            price,
        ),
        Outcome(
            scenes["night"],
            Status.HELD,
            "its answer was lost",
            row("night", 1, State.AMBIGUOUS, 2),
            1,
            price=price,
        ),
    ]
    (folder / "final.mp4").write_bytes((folder / "clips/door/take-1.mp4").read_bytes())
    seam = SeamReport(above="door", below="stairs", chained=True, doubled=True, psnr_db=44, ssim=0.99, luma_step=0.1,
                      colour_step=0.2, is_same=True)  # fmt: skip
    return build(
        storyboard, outcomes, run_id="r", simulated=False, endpoint="https://api.example/v1", started_at=0, finished_at=210,
        cut=CutReport(path="final.mp4", frames=24, duration_s=1, seams=[seam]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "report").mkdir()
    (folder / "report/report.html").write_text(
        "".join(html.render(told(folder), Workspace(folder))), "utf-8"
    )
    return folder / "report/report.html"


@pytest.fixture
def page(browser: Browser, page_file: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    opened = context.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(page_file.as_uri())
    yield opened
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []  # no network
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_used_by_those_who_do_not_see_it(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_nothing_of_a_storyboard_or_a_server_becomes_part_of_the_page(page: Page) -> None:
    assert page.title() == "<b>Lighthouse</b> · Storyreel report"
    assert page.locator("script").count() == 0 and page.locator("h1 b").count() == 0
    assert NASTY[:8] in (page.text_content("#scene-lamp-1") or "")


def test_it_fits_a_phone_and_paper(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(media="print")
    assert not page.locator("video").is_visible() and not page.locator("fieldset").is_visible()


def test_scenes_are_filtered_by_keyboard_alone(page: Page) -> None:
    assert page.locator("article:visible").count() == 5
    page.locator("#show-all").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#show-used").is_checked() and page.locator("article:visible").count() == 2
    page.locator("#show-failed").check()
    assert (
        page.locator("article:visible").count() == 1 and page.locator("#scene-lamp-1").is_visible()
    )


def test_it_tells_what_to_do_and_what_took_so_long(page: Page) -> None:
    assert "write `pick: 2` in scene door" in (page.text_content("#scene-door-2") or "")
    assert "storyreel resolve" in (page.text_content("#scene-night-1") or "")
    assert "change the prompt or the picture" in (page.text_content("#scene-lamp-1") or "")
    assert "the critical path: door > stairs > lamp" in (page.text_content("main") or "")
    assert page.evaluate("document.querySelector('video').readyState !== undefined")
    assert "20.00 CNY" in (page.locator("section[aria-label=Money]").text_content() or "").replace(
        "20 CNY", "20.00 CNY"
    )
