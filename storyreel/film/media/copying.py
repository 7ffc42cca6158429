"""Write the film without encoding: copy the clips' packets if an encoded film would be the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from storyreel.film.media import colour
from storyreel.film.media.clip import moving, pixel_shape
from storyreel.film.media.sound import Span

_SPS = 7  # the kind of NAL unit with new parameters of the stream


@dataclass(frozen=True, slots=True)
class Plain:
    """Facts that clips must share to be copied. `ticks` is the length of a picture in the time
    base, `delay` the first decoding time.
    """

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    ticks: int
    delay: int
    headers: bytes


def common(paths: Sequence[Path], size: tuple[int, int]) -> Plain | None:
    """Return the facts that all clips share if each may be copied into a film of `size`; else
    None.
    """
    shared: Plain | None = None
    for path in paths:
        facts = look(path)
        if facts is None or facts.size != size or facts != (shared or facts):
            return None
        shared = facts
    return shared


def look(path: Path) -> Plain | None:
    """Return a clip's facts if it may be copied, else None. It must be H.264, 4:2:0 of 8 bits,
    BT.709, upright, with square pixels, progressive, and at an even rate from its first packet
    to its last.
    """
    with av.open(str(path), metadata_errors="replace") as container:
        video = moving(container)
        context, base = video.codec_context, Fraction(video.time_base or 0)
        rate = Fraction(video.average_rate or 0)
        if context.name != "h264" or context.pix_fmt != "yuv420p" or not rate or not base:
            return None
        ticks = 1 / rate / base
        headers = bytes(context.extradata or b"")
        if ticks.denominator != 1 or len(headers) < 7 or headers[0] != 1 or pixel_shape(video) != 1:
            return None
        delay = _even(container, video, int(ticks), (headers[4] & 3) + 1)
        if delay is None or video.start_time or (context.width | context.height) & 1:
            return None
        return Plain((context.width, context.height), rate, base, int(ticks), delay, headers)


def _even(
    container: av.container.InputContainer, video: av.VideoStream, ticks: int, length: int
) -> int | None:
    """Return the first decoding time if every packet is shown, each one picture after the last."""
    times: list[int] = []
    delay: int | None = None
    end, seen = 0, False
    for packet in container.demux(video):
        if not packet.size:
            continue
        if packet.pts is None or packet.dts is None or packet.is_discard or packet.is_corrupt:
            return None
        delay = packet.dts if delay is None else delay
        if packet.dts != delay + len(times) * ticks or _begins_another(packet, length):
            return None
        if not seen:
            frame = next(iter(packet.decode()), None)
            seen = frame is not None
            if frame is not None and not _is_plain(frame):
                return None
        times.append(packet.pts)
        end = max(end, packet.pts + (packet.duration or ticks))
    if sorted(times) != [i * ticks for i in range(len(times))] or end != len(times) * ticks:
        return None
    return delay


def _is_plain(frame: av.VideoFrame) -> bool:
    """Would the picture look the same after encoding?"""
    tags = (frame.colorspace, frame.color_primaries, frame.color_trc)
    named = frame.colorspace == colour.BT709 or colour.is_untagged_hd(frame)
    return (
        named
        and all(tag in (colour.BT709, colour.UNTAGGED) for tag in tags)
        and frame.color_range != colour.FULL
        and not frame.rotation
        and not frame.interlaced_frame
    )


def _begins_another(packet: av.Packet[av.VideoStream], length: int) -> bool:
    """Does the packet change the stream's parameters?"""
    return packet.has_sidedata("new_extradata") or any(
        kind == _SPS for kind in _units(bytes(packet), length)
    )


def _units(data: bytes, length: int) -> Iterator[int]:
    """Yield the kind of each NAL unit of a packet; each follows its size in `length` bytes."""
    at = 0
    while at + length < len(data):
        size = int.from_bytes(data[at : at + length], "big")
        yield data[at + length] & 31
        at += length + size


def write(paths: Sequence[Path], out: Path) -> list[Span]:
    """Write the packets of files of one rate and one kind one after the other. Return each file's
    span in the film.

    Decoding times start early enough that no picture is late.
    """
    spans: list[Span] = []
    with av.open(str(out), "w", format="mp4") as container:
        stream: av.VideoStream | None = None
        total, early = 0, max(_delay(path) for path in paths)
        for path in paths:
            count = 0
            with av.open(str(path), metadata_errors="replace") as source:
                video = moving(source)
                stream = stream or container.add_stream_from_template(video)
                ticks = int(1 / Fraction(video.average_rate or 0) / Fraction(video.time_base or 0))
                for packet in source.demux(video):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts += total * ticks
                    packet.dts = (total + count - early) * ticks
                    packet.stream = stream
                    container.mux(packet)
                    count += 1
            spans.append(Span(path, total, count))
            total += count
    return spans


def _delay(path: Path) -> int:
    """Return how many pictures early the first packet of a file is decoded."""
    with av.open(str(path), metadata_errors="replace") as source:
        video = moving(source)
        packet = next(source.demux(video))
        seconds = Fraction(-(packet.dts or 0)) * Fraction(video.time_base or 0)
        return max(0, round(seconds * Fraction(video.average_rate or 0)))
