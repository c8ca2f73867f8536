"""Reads HdrHistogram's V2 compressed encoding, written from the format's description: an outer
header (cookie, length), zlib, an inner header, then counts as ZigZag LEB128 numbers in which a
negative one is a run of zeros."""

import base64
import math
import struct
import zlib


class Histogram:
    """The counts, by bucket, and what follows from them."""

    HEADER = struct.Struct(">iiiiqqd")

    def __init__(self, text: str) -> None:
        raw = base64.b64decode(text, validate=True)
        cookie, length = struct.unpack_from(">ii", raw)
        assert cookie == 0x1C849314 and length == len(raw) - 8
        inner = zlib.decompress(raw[8:])
        (cookie, length, self.offset, self.digits, self.lowest, self.highest,
         self.ratio) = self.HEADER.unpack_from(inner)
        assert cookie == 0x1C849313 and length == len(inner) - self.HEADER.size
        self.counts = self.read_counts(inner[self.HEADER.size:])

    @staticmethod
    def read_counts(data: bytes) -> list[int]:
        counts: list[int] = []
        position = 0
        while position < len(data):
            number = 0
            for part in range(9):
                byte = data[position]
                position += 1
                # Eight groups of seven bits; a ninth byte holds eight.
                number |= (byte if part == 8 else byte & 0x7F) << (7 * part)
                if part < 8 and byte < 0x80:
                    break
            value = (number >> 1) ^ -(number & 1)
            counts += [value] if value >= 0 else [0] * -value
        return counts

    @property
    def count(self) -> int:
        return sum(self.counts)

    def bounds(self, index: int) -> tuple[int, int]:
        """The smallest and the largest value that are counted at `index`."""
        per_bucket = 2 ** math.ceil(math.log2(2 * 10 ** self.digits))
        half = per_bucket // 2
        bucket = max(0, index // half - 1)
        lowest = (index - bucket * half) << bucket
        return lowest, lowest + (1 << bucket) - 1

    def at_rank(self, rank: int) -> int:
        seen = 0
        for index, count in enumerate(self.counts):
            seen += count
            if seen >= rank:
                return self.bounds(index)[1]
        raise AssertionError(f"{rank} is beyond {seen}")

    def percentile(self, quantile: float) -> int:
        return self.at_rank(max(1, math.ceil(quantile * self.count)))

    def mean(self) -> float:
        return sum(count * sum(self.bounds(index)) / 2
                   for index, count in enumerate(self.counts) if count) / self.count
