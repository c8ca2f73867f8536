"""HdrHistogram's V2 compressed encoding, read and written: what `histograms` in a result holds.

The layout is that of loadgen/histogram.h: values from 0 ns to 1 h, three significant digits, so
values below 2,048 have a bucket each and every power of two above is cut into 1,024. Histograms of
several slices are added; percentiles cannot be averaged.
"""

import base64
import binascii
import math
import struct
import sys
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COMPRESSED_COOKIE = 0x1C849304
COOKIE = 0x1C849303
WORD_SIZE_BITS = 0xF0  # of the cookie: says which word size the counts have, nothing for V2
HIGHEST = 3_600_000_000_000
BUCKETS = 33 * 1024
MOST_BYTES = 40 + 9 * BUCKETS
MOST_SAMPLES = 2**53
HEADER = struct.Struct(">IIIIQQd")
SAMPLES_ABOVE = 10  # as loadgen: fewer do not support a quantile


class BadHistogram(ValueError):
    """The text is no histogram of this layout; the message says why."""


@dataclass(frozen=True)
class Histogram:
    """Counts by bucket, without the empty ones at the end."""

    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many samples."""
        return sum(self.counts)

    def quantile(self, share: float, infinite: int = 0) -> int | None:
        """The value, ns, that this share of the samples does not exceed; None where fewer than ten
        lie above it. `infinite` are as many more that never ended, and so lie above all others."""
        total = self.count + infinite
        exact = share * total
        # A product that is whole but for its rounding error is not to be rounded up.
        whole = round(exact)
        error = 2 * sys.float_info.epsilon * exact
        rank = max(1, whole if abs(exact - whole) <= error else math.ceil(exact))
        if rank > self.count or total - rank < SAMPLES_ABOVE:
            return None
        below = 0
        for index, count in enumerate(self.counts):
            below += count
            if below >= rank:
                return highest_of(index)
        return None

    def curve(self) -> list[tuple[float, int]]:
        """Points (quantile, value in ns) in ascending order, one for each bucket that has samples:
        so many of all samples are at most this. Ends where fewer than ten samples lie above."""
        total, below = self.count, 0
        points = []
        for index, count in enumerate(self.counts):
            if count == 0:
                continue
            below += count
            if total - below < SAMPLES_ABOVE:
                break
            points.append((below / total, highest_of(index)))
        return points


def highest_of(index: int) -> int:
    """The largest value, ns, that falls into the bucket."""
    if index < 2048:
        return index
    power, place = divmod(index, 1024)
    return ((place + 1024 + 1) << (power - 1)) - 1


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """As if every sample had been recorded in one."""
    sums: list[int] = []
    for each in histograms:
        if len(each.counts) > len(sums):
            sums += [0] * (len(each.counts) - len(sums))
        for index, count in enumerate(each.counts):
            if count:
                sums[index] += count
    return Histogram(tuple(sums))


def encode(histogram: Histogram) -> str:
    """What decode() reads."""
    payload = bytearray()
    empty = 0
    for count in histogram.counts:
        if count == 0:
            empty += 1
            continue
        if empty:
            _put_zigzag(payload, 0 if empty == 1 else -empty)
            empty = 0
        _put_zigzag(payload, count)
    if not payload:
        _put_zigzag(payload, 0)
    head = HEADER.pack(COOKIE | 0x10, len(payload), 0, 3, 1, HIGHEST, 1.0)
    packed = zlib.compress(head + bytes(payload))
    return base64.b64encode(struct.pack(">II", COMPRESSED_COOKIE | 0x10, len(packed))
                            + packed).decode()


def _put_zigzag(payload: bytearray, value: int) -> None:
    """A count is below 2^53, so it takes eight bytes at most."""
    rest = value * 2 if value >= 0 else -value * 2 - 1
    while rest >= 0x80:
        payload.append(rest & 0x7F | 0x80)
        rest >>= 7
    payload.append(rest)


def decode(text: str) -> Histogram:
    """Reads base64; raises BadHistogram."""
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadHistogram(f"no base64: {error}") from error
    if len(packed) < 8:
        raise BadHistogram("it ends in its head")
    cookie, length = struct.unpack_from(">II", packed)
    if cookie & ~WORD_SIZE_BITS != COMPRESSED_COOKIE & ~WORD_SIZE_BITS:
        raise BadHistogram(f"its cookie is {cookie:#x}, not that of V2 compressed")
    if length != len(packed) - 8:
        raise BadHistogram("its length is not what it says")
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(packed[8:], MOST_BYTES)
    except zlib.error as error:
        raise BadHistogram(f"the zlib stream is damaged: {error}") from error
    if not inflate.eof:
        raise BadHistogram("the zlib stream is cut off, or longer than any histogram")
    return Histogram(tuple(_counts(_payload(plain))))


def _payload(plain: bytes) -> bytes:
    if len(plain) < HEADER.size:
        raise BadHistogram("it ends in its head")
    cookie, length, offset, digits, lowest, highest, ratio = HEADER.unpack_from(plain)
    layout = (cookie & ~WORD_SIZE_BITS, offset, digits, lowest, highest, ratio)
    if layout != (COOKIE & ~WORD_SIZE_BITS, 0, 3, 1, HIGHEST, 1.0):
        raise BadHistogram("it has another layout than loadgen's")
    if length != len(plain) - HEADER.size:
        raise BadHistogram("its payload's length is not what it says")
    return plain[HEADER.size :]


def _counts(payload: bytes) -> Sequence[int]:
    """ZigZag LEB128 numbers: a count, or minus a number of empty buckets."""
    counts: list[int] = []
    total = position = 0
    while position < len(payload):
        number, position = _zigzag(payload, position)
        room = BUCKETS - len(counts)
        if number < 0:
            if -number > room:
                raise BadHistogram("it has counts beyond the last bucket")
            counts += [0] * -number
            continue
        total += number
        if room == 0 or total > MOST_SAMPLES:
            raise BadHistogram("it has more counts than a histogram can")
        counts.append(number)
    return counts


def _zigzag(payload: bytes, position: int) -> tuple[int, int]:
    """A number and where the next begins. The ninth byte holds eight bits (HdrHistogram's own)."""
    value = 0
    for place in range(9):
        if position == len(payload):
            raise BadHistogram("it ends in the middle of a number")
        byte = payload[position]
        position += 1
        if place == 8:
            value |= byte << 56
            break
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    return (value >> 1) ^ -(value & 1), position
