"""The starter storyboard of `storyreel init`, with its stills drawn by code."""

from __future__ import annotations

import json
import re
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter
from slugify import slugify

from storyreel.errors import UsageError, WorkspaceError
from storyreel.film.media import still
from storyreel.workspace.folder import write_whole

Colour = tuple[int, int, int]

_YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

SKIES: dict[str, tuple[Colour, Colour, Colour, bool]] = {
    # name: sky above, sky at the horizon, sea, is the lamp on
    "dawn": ((64, 84, 140), (250, 190, 130), (70, 96, 120), False),
    "storm": ((38, 44, 54), (110, 120, 126), (40, 54, 62), False),
    "night": ((8, 12, 34), (40, 48, 92), (12, 18, 38), True),
}

STORYBOARD = """\
# yaml-language-server: $schema=schema.json
version: 1
id: {id}
title: {title}
defaults:
  model: kling-video-o1         # accepts files; some models accept public addresses only
  seconds: 5
  size: 1280x720
  mode: pro
vars:
  keeper: an old keeper in a yellow coat
style:
  suffix: cinematic, soft light
keyframes:            # stills that scenes share, so that they need not wait for each other
  dawn: stills/dawn.png
  storm: stills/storm.png
  night: stills/night.png
scenes:
  - id: morning
    prompt: clouds gather over a lighthouse at dawn
    first_frame: {{keyframe: dawn}}
    end_frame: {{keyframe: storm}}
  - id: storm
    prompt: night falls, the storm clears, the lamp lights up
    first_frame: {{keyframe: storm}}
    end_frame: {{keyframe: night}}
  - id: keeper
    prompt: the camera rises to ${{keeper}} beside the lamp
    first_frame: previous         # begins on the last frame of the scene above
budget:
  limit: 40
  currency: CNY
"""

DEPLOYMENTS = """\
# `storyreel up` in this folder starts a Prefect server with its UI, these deployments, and a
# worker. Each name begins with that of the project: `render` is `render-storyboard/{id}-render`,
# and the work pool `storyreel` is `storyreel-{id}`. So projects side by side stay apart. The worker
# reads the key from the environment of `up` (OPENAI_API_KEY), never from a parameter. Switch
# schedules on in the UI.
name: {id}
pull:
  - prefect.deployments.steps.set_working_directory:
      directory: "{{{{ $PWD }}}}"
deployments:
  - name: render
    entrypoint: storyreel.flows.render.render_storyboard
    parameters: {{storyboard: storyboard.yaml, simulate: true}}
    work_pool: {{name: storyreel}}
  - name: render-nightly
    entrypoint: storyreel.flows.render.render_storyboard
    parameters: {{storyboard: storyboard.yaml, budget_per_run: 10, budget_per_day: 10}}
    tags: [storyreel, schedule]
    concurrency_limit: {{limit: 1, collision_strategy: CANCEL_NEW}}
    schedules: [{{cron: "17 2 * * *", timezone: Asia/Shanghai, active: false}}]
    work_pool: {{name: storyreel}}
  - name: rescue-hourly
    entrypoint: storyreel.flows.rescue.rescue_clips
    parameters: {{paths: [runs]}}
    tags: [storyreel, schedule]
    concurrency_limit: {{limit: 1, collision_strategy: CANCEL_NEW}}
    schedules: [{{cron: "41 * * * *", timezone: Asia/Shanghai, active: false}}]
    work_pool: {{name: storyreel}}
  - name: batch
    entrypoint: storyreel.flows.batch.render_batch
    parameters: {{storyboard: storyboard.yaml, rows: rows.csv, simulate: true}}
    work_pool: {{name: storyreel}}
"""


def draw(name: str, size: tuple[int, int] = (1280, 720)) -> bytes:
    """Draw the lighthouse under one of `SKIES`, as PNG."""
    above, horizon, sea, lit = SKIES[name]
    width, height = size
    line = int(height * 0.68)
    picture = Image.new("RGB", size, sea)
    pen = ImageDraw.Draw(picture)
    for y in range(line):
        share = y / line
        pen.line(
            [(0, y), (width, y)],
            fill=tuple(round(a + (b - a) * share) for a, b in zip(above, horizon, strict=True)),
        )
    x, top = int(width * 0.62), int(height * 0.2)
    if lit:
        glow = Image.new("L", size, 0)
        beam = ImageDraw.Draw(glow)
        beam.polygon([(x, top), (0, int(height * 0.05)), (0, int(height * 0.42))], fill=120)
        beam.ellipse([x - 90, top - 90, x + 90, top + 90], fill=200)
        picture.paste((255, 236, 170), mask=glow.filter(ImageFilter.GaussianBlur(height // 30)))
    rock: Colour = (34, 32, 36)
    pen.polygon(
        [(x - 260, height), (x - 120, line - 6), (x + 140, line - 10), (x + 330, height)], fill=rock
    )
    half = height // 26
    pen.polygon(
        [
            (x - half, top + 30),
            (x + half, top + 30),
            (x + half * 1.6, line),
            (x - half * 1.6, line),
        ],
        fill=(226, 222, 214),
    )
    for i in range(2):
        y = top + 80 + i * 130
        wide = half * (1 + 0.6 * (y - top) / (line - top))
        pen.polygon(
            [(x - wide, y), (x + wide, y), (x + wide * 1.05, y + 60), (x - wide * 1.05, y + 60)],
            fill=(170, 52, 44),
        )
    pen.rectangle(
        [x - half, top - 8, x + half, top + 30], fill=(255, 240, 190) if lit else (70, 74, 84)
    )
    pen.polygon(
        [(x - half - 6, top - 8), (x + half + 6, top - 8), (x, top - 46)], fill=(60, 30, 30)
    )
    return still.png(picture)


def id_of(name: str) -> str:
    """Make an id from a folder's name in any script: `Café film` gives cafe-film. Return `film` if
    no letter is left.
    """
    return slugify(name, max_length=63) or "film"


def title_of(name: str) -> str:
    """Make a title from a folder's name. Double each `$`, because a title may hold variables."""
    text = " ".join(re.sub(r"[-_]+", " ", name).split()) or "Film"
    return (text[0].upper() + text[1:]).replace("$", "$$")


def as_yaml(text: str) -> str:
    """Return the text as a YAML value that reads back as the same text, in quotes if it needs
    them.
    """
    plain = re.fullmatch(r"[^\W\d_][\w ]*(?:-\w+)*", text) and text.lower() not in _YAML_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def write(folder: Path) -> Path:
    """Write the starter storyboard, its stills, its schema and a prefect.yaml into `folder`. Return
    the storyboard's path.

    Raises:
        UsageError: a storyboard exists there; nothing is overwritten.
        WorkspaceError: the folder cannot be written.
    """
    from storyreel.manifest import schema

    path = folder / "storyboard.yaml"
    if path.exists():
        raise UsageError(
            f"{path} is there already", fix="choose another folder: storyreel init DIR"
        )
    name = folder.resolve().name
    board_id = as_yaml(id_of(name))
    try:
        for sky in SKIES:
            write_whole(folder / "stills" / f"{sky}.png", draw(sky))
        write_whole(folder / "schema.json", json.dumps(schema.of_storyboard(), indent=1).encode())
        if not (folder / "prefect.yaml").exists():
            write_whole(folder / "prefect.yaml", DEPLOYMENTS.format(id=board_id).encode())
        write_whole(path, STORYBOARD.format(id=board_id, title=as_yaml(title_of(name))).encode())
    except OSError as error:
        raise WorkspaceError(
            f"{folder} cannot be written: {error.strerror}", fix="choose another folder"
        ) from error
    return path
