"""Links to clips: find them in an answer, read when they expire, compare their origins. Pure.

Sources: reference/gateways.md 1.4 (places), 1.10 (signatures), collected 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urljoin, urlsplit

from storyreel.api.bodies import unwrapped
from storyreel.ledger.moments import EARLIEST_S, LATEST_S, moment, number

DEEPEST = 8
_VIDEO_ENDS = (".mp4", ".mov", ".webm", ".m4v", ".mkv")
# Keys whose links are not the result: inputs, pictures beside it, status and callback addresses.
_NOT_RESULTS = re.compile(
    r"input|reference|request|\bsource|prompt|image|picture|thumb|cover|poster|frame|preview|sprite|audio|callback|hook|"
    r"(video|element|voice)_list|"
    r"avatar|icon|doc|help|status|poll|cancel|\bget\b|self|next|prev|logo|watermark|error|reason|message",
    re.IGNORECASE,
)

# Places of the link, the surest first. A list in a path means each of its entries.
PLACES = (
    ("task_result", "videos", "url"),  # Qiniu's document
    ("video_url",),  # tu-zi, CLIProxyAPI, AIHubMix
    ("videoUrl",),
    ("result_url",),  # new-api's /v1/video/generations
    ("resultUrl",),
    ("metadata", "url"),  # new-api, all channels but sora
    ("output", "video_url"),  # new-api's envelopes
    ("outputs", "video_url"),  # Together
    ("content", "video_url"),  # Ark, Qiniu's shape D
    ("content", "videoUrl"),
    ("content", "url"),
    ("video_result", "url"),  # Zhipu
    ("result", "video", "url"),  # fal, Qiniu's shape C
    ("result", "videos", "url"),
    ("result", "video_url"),
    ("video", "url"),
    ("video", "video_url"),
    ("videos", "url"),
    ("videos", "video_url"),
    ("videos",),
    ("urls",),  # OpenRouter, signed
    ("unsigned_urls",),  # OpenRouter, with the key
    ("output", "url"),
    ("outputs", "url"),
    ("output",),  # Runway, Replicate
    ("outputs",),
    ("result", "url"),
    ("result",),
    ("data", "video_url"),
    ("data", "url"),  # new-api's envelopes, LocalAI
    ("download_url",),
    ("url",),
    ("assets", "video"),  # Luma
    ("generations", "url"),
    ("generations", "video", "url"),
)


def split(url: str) -> SplitResult | None:
    """Split an address that can be requested; None for others. It needs http or https, a host,
    a valid port.
    """
    if not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def address(value: Any, base: str | None = None) -> str | None:
    """Return the address in a value of an answer, or None. A relative one starts at the API's
    own host.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > 8192:
        return None
    if base and re.fullmatch(r"/[^\s\\]*", text):
        try:
            text = urljoin(base, text)
        except ValueError:
            return None
    return text if split(text) else None


def origin(url: str) -> tuple[str, str | None, int | None] | None:
    """Return scheme, host and port of an address; None if it is none."""
    parts = split(url)
    return parts and (
        parts.scheme,
        parts.hostname,
        parts.port or {"http": 80, "https": 443}[parts.scheme],
    )


def host(url: str) -> str:
    """Return the host of an address, for people."""
    parts = split(url)
    return parts.netloc.rpartition("@")[2] if parts else "a malformed address"


def unsigned(url: str) -> str:
    """Return an address without its query, for people."""
    return url.partition("?")[0].partition("#")[0]


def in_places(layer: Mapping[str, Any], base: str | None) -> str | None:
    """Return the link at the first known place that has one."""
    for place in PLACES:
        for value in _at(layer, place):
            link = address(value, base)
            if link and not _is_question(link, base):
                return link
    return None


def named_but_malformed(layer: Mapping[str, Any]) -> bool:
    """Does a known place hold a link that is no address?"""
    values = (value for place in PLACES[:19] for value in _at(layer, place))
    return any(
        isinstance(value, str) and "://" in value and not split(value.strip()) for value in values
    )


def like_videos(payload: Any, base: str | None) -> list[str]:
    """List every link anywhere in an answer that looks like a finished video, each once."""
    links = dict.fromkeys(
        found
        for keys, text in _strings(payload)
        if not _NOT_RESULTS.search(" ".join(keys))
        and (found := address(text, base))
        and not _is_question(found, base)
    )
    sure = [url for url in links if _suffix(url) in _VIDEO_ENDS]
    return sure or [url for url in links if not _suffix(url)]


def _suffix(url: str) -> str:
    parts = split(url)
    return PurePosixPath(parts.path).suffix.lower() if parts else ""


def _is_question(url: str, base: str | None) -> bool:
    """Is it the address of the job's status, not of its clip?"""
    if not base or origin(url) != origin(base):
        return False
    parts = split(url)
    return bool(
        parts and re.search(r"/(videos|tasks|generations|jobs)/[^/]+/?$", parts.path)
    ) and not _suffix(url)


def _at(layer: Any, place: tuple[str, ...]) -> Iterator[Any]:
    layer = unwrapped(layer)
    if isinstance(layer, list):
        for entry in layer[:20]:
            yield from _at(entry, place)
    elif not place:
        yield layer
    elif isinstance(layer, dict):
        yield from _at(layer.get(place[0]), place[1:])


def _strings(value: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    value = unwrapped(value)
    if isinstance(value, str):
        yield keys, value
    elif len(keys) > DEEPEST:
        return
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, (*keys, str(key)))
    elif isinstance(value, list):
        for inner in value[:50]:
            yield from _strings(inner, (*keys, ""))


# Parameters that give a signed link's end, or when it was signed and for how many seconds. Lower
# case.
_ENDS = (
    "e",  # Qiniu
    "expires",  # OSS, CloudFront, Google V2
    "se",  # Azure
    "x-expires",  # ByteDance
    "exp",
    "expires_at",
    "expire",
    "deadline",
)
_SPANS = (
    ("x-amz-date", "x-amz-expires"),
    ("x-tos-date", "x-tos-expires"),
    ("x-goog-date", "x-goog-expires"),
    ("x-oss-date", "x-oss-expires"),
    ("x-obs-date", "x-obs-expires"),
)


def signed_end(url: str) -> float | None:
    """Return the Unix time at which the link expires by its own signature; None if it has none."""
    parts = split(url)
    if parts is None:
        return None
    try:
        query = {name.lower(): value for name, value in parse_qsl(parts.query, max_num_fields=100)}
    except ValueError:
        return None
    for begins, lasts in _SPANS:
        start, life = moment(query.get(begins)), number(query.get(lasts))
        if start is not None and life is not None:
            return min(max(start + life, EARLIEST_S), LATEST_S)
    ends = [query[name] for name in _ENDS if name in query]
    # Tencent COS: from;to
    ends += [query["q-sign-time"].rpartition(";")[2]] if "q-sign-time" in query else []
    # Alibaba's CDN: end-random-user-sum
    ends += [query["auth_key"].partition("-")[0]] if "auth_key" in query else []
    return next((found for end in ends if (found := moment(end)) is not None), None)
