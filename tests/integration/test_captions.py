"""No caption loses text: soft or burned, in any script, wide or tall."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.film.media import clip, font
from storyreel.film.media.cut import Piece, Style, assemble
from storyreel.film.media.subtitle import Overlay, card, lay
from tests.zoo import Odd, make

TEXTS = {
    "long": "She had not expected him to come back before the storm, and certainly not with the "
    "boat.",
    "Chinese after a quotation mark": "“她没有想到他会来，而且是在暴风雨之前回来”，守塔人说道：他真的来了。",
    "Chinese after a Latin letter": "A她没有想到他会来而且是在暴风雨之前回来守塔人说道他真的来了",
    "Chinese after a digit": "12她没有想到他会来而且是在暴风雨之前回来守塔人说道他真的来了",
    "Japanese": "「まさか嵐の前に戻ってくるとは思わなかった」と灯台守は言った。",
    "Korean": "그녀는 그가 폭풍 전에 배를 타고 돌아올 줄은 몰랐다.",
    "Thai": "เธอไม่คาดคิดว่าเขาจะกลับมาก่อนพายุเข้าและแน่นอนว่าไม่ใช่กับเรือลำนั้น",
    "Hindi": "उसने नहीं सोचा था कि वह तूफ़ान से पहले नाव के साथ लौट आएगा।",
    "Arabic": "لم تكن تتوقع أن يعود قبل العاصفة، وبالتأكيد ليس مع القارب.",
    "Hebrew": "היא לא ציפתה שהוא יחזור לפני הסערה, ובוודאי לא עם הסירה.",
    "one word": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "address": "https://example.com/a/very/long/address/that/has/no/space?x=1234567890&y=abcdefghijklmno",
    "emoji": "Home 👩‍👩‍👧 at last 🇨🇳 ❤️ " * 3,
    "three lines": "- You came.\n- I said I would.\n- You did.",
}
SIZES = [(640, 360), (360, 640), (426, 240), (240, 240)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", TEXTS)
def test_every_letter_is_in_the_picture(name: str, size: tuple[int, int]) -> None:
    text = TEXTS[name]
    block = lay(text, size)
    assert "".join("".join(block.lines).split()) == "".join(text.split()), (
        "nothing left out, nothing added"
    )
    assert all(font.width(line, block.size_px) <= size[0] * 0.9 for line in block.lines)
    assert font.missing(text) == []
    ink = inked(text, size)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    assert columns[0] > size[0] * 0.03 and columns[-1] < size[0] * 0.97
    assert rows[0] > size[1] * 0.3 and rows[-1] < size[1] * 0.98


def inked(text: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Where the caption changes a picture."""
    plain = av.VideoFrame.from_ndarray(
        clip.to_planes(Image.new("RGB", size, (90, 120, 90))), format="yuv420p"
    )
    made = np.asarray(clip.to_rgb(Overlay(text, *size).over(plain))).astype(int)
    changed: NDArray[np.bool_] = np.abs(made - np.asarray(clip.to_rgb(plain))).max(2) > 40
    return changed


def test_an_arabic_line_is_joined_and_read_from_the_right() -> None:
    """The three letters of a word are narrower joined than apart, and its first one stands at the
    right.
    """
    assert font.width("عين", 40) < 0.95 * sum(font.width(letter, 40) for letter in "عين")
    line = font.picture(font.Block(("ا     م",), 40), (200, 60), (255, 255, 255), (0, 0, 0))
    ink = np.flatnonzero(np.asarray(line.convert("L")).max(0) > 100)
    assert ink[-1] - ink[ink > 100][0] < 12, "the thin alif is at the right"


def test_a_word_is_broken_between_letters_and_never_within_one() -> None:
    lines = font.wrap("é👩‍👩‍👧" * 12, 30, 120)
    assert (
        all(line.startswith("é") or line.startswith("👩‍👩‍👧") for line in lines) and len(lines) > 2
    )


def test_a_line_begins_with_no_closing_mark() -> None:
    for text in (
        "她没有想到他会来，而且是在暴风雨之前回来。" * 3,
        "“他会来”，守塔人说：“他会来。”" * 3,
    ):
        for width in range(100, 200, 7):
            assert not any(line[0] in "，。”：" for line in font.wrap(text, 20, width))


def test_a_long_text_on_a_card_is_all_there() -> None:
    planes = card(TEXTS["long"] * 6, 320, 180)
    assert planes.shape == (270, 320)


NASTY = [
    "a<b and b>c",
    "<b>bold</b>",
    r"{\an8}up",
    r"C:\new\Nord",
    "- You came.\n- I said I would.",
    "“她”",
    "x & y &amp; z",
]


def test_a_soft_caption_is_the_text_itself(tmp_path: Path) -> None:
    one = make(Odd(frames=12), tmp_path / "1.mp4")
    assemble(
        [Piece(one, caption=text) for text in NASTY],
        tmp_path / "film.mp4",
        Style((320, 180), subtitles="soft"),
    )
    with av.open(tmp_path / "film.mp4") as container:
        (stream,) = container.streams.subtitles
        found = [
            (float(p.pts * stream.time_base), bytes(p)[2:].decode())
            for p in container.demux(stream)
            if p.size > 2
        ]
    assert found == [(i / 2, text) for i, text in enumerate(NASTY)]


BOARD = """version: 1
cut: {{subtitles: {how}}}
scenes:
  - id: one
    prompt: a
    model: agnes-video-2-preview
    caption: {caption}
"""


@pytest.mark.parametrize(
    ("caption", "says"),
    [
        ("বাংলা", "U+09AC"),
        ("'x 𓀀 y'", "U+13000"),
        ("word " * 300, "more than a third"),
        ("Fine.", None),
        ("สวัสดี", None),
    ],
)
def test_validate_warns_of_what_cannot_be_drawn_and_says_where(
    tmp_path: Path, caption: str, says: str | None
) -> None:
    model = next(iter(catalog.load().models))
    for how in ("burned", "soft"):
        board = tmp_path / f"{how}.yaml"
        board.write_text(
            BOARD.format(how=how, caption=caption).replace("agnes-video-2-preview", model), "utf-8"
        )
        found = [
            f for f in manifest.check(board, catalog.load()).warnings if "caption" in f.message
        ]
        expected = says if how == "burned" else None
        assert [expected in f.message for f in found] == ([True] if expected else [])
        assert all(f.line == 7 for f in found)
