"""Histograms: those that loadgen wrote are read as it counted, and nothing else is read at all."""

import base64
import json
import random
import struct
import zlib

import pytest

from echobench.hdr import BadHistogram, Histogram, decode, encode, highest_of, merged
from echobench.tests.sample import encoded, recorded


def repacked(plain: bytes) -> str:
    packed = zlib.compress(plain)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode()


def plain_of(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text)[8:])


def test_a_recorded_histogram_has_the_percentiles_that_loadgen_said() -> None:
    result = json.loads(recorded())["result"]
    histogram = decode(result["histograms"]["latency"])
    said = result["latency_ns"]
    assert histogram.count == said["count"]
    curve = histogram.curve()
    for key, quantile in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)):
        assert next(value for reached, value in curve if reached >= quantile) == said[key]


def test_buckets_are_those_of_the_layout() -> None:
    assert [highest_of(index) for index in (0, 2047, 2048, 2049, 3071, 3072)] == [
        0, 2047, 2049, 2051, 4095, 4099]


def test_a_curve_ends_where_fewer_than_ten_samples_are_left() -> None:
    counts = Histogram((0, 50, 0, 41, 9))
    assert counts.curve() == [(0.5, 1)]
    assert Histogram((0, 50, 40, 10)).curve() == [(0.5, 1), (0.9, 2)]
    assert Histogram(()).curve() == []


def test_histograms_are_added() -> None:
    assert merged([Histogram((1, 2)), Histogram((0, 1, 5))]) == Histogram((1, 3, 5))
    assert merged([]).count == 0


def test_what_is_encoded_is_decoded() -> None:
    generator = random.Random(3)
    for _ in range(50):
        counts = [generator.choice([0, 0, 0, 1, 70, 10**6, 2**40]) for _ in range(300)] + [1]
        assert decode(encoded(counts)).counts == tuple(counts)
        assert decode(encode(Histogram(tuple(counts)))).counts == tuple(counts)
    assert decode(encode(Histogram(()))).count == 0


def test_quantiles_are_those_that_loadgen_said() -> None:
    result = json.loads(recorded())["result"]
    histogram, said = decode(result["histograms"]["latency"]), result["latency_ns"]
    for key, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)):
        assert histogram.quantile(share) == said[key]


def test_a_quantile_needs_ten_samples_above_it_and_no_infinite_one_below() -> None:
    samples = Histogram((0, 500, 480))
    assert samples.quantile(0.5) == 1
    assert samples.quantile(0.98) == 2 and samples.quantile(0.99) is None
    assert samples.quantile(0.98, infinite=20) == 2
    assert samples.quantile(0.981, infinite=20) is None
    assert Histogram((0,) * 7 + (100,)).quantile(0.07) == 7
    assert Histogram(()).quantile(0.5) is None


@pytest.mark.parametrize("text", [
    "", "A", "====", "AAAA", "HISTFAAAAA==", "Ä" * 8, "\0" * 12,
    base64.b64encode(struct.pack(">II", 0x1C849314, 3) + b"abc").decode(),
    base64.b64encode(struct.pack(">II", 0x1C849303, 3) + zlib.compress(b"")).decode(),
    repacked(b""), repacked(b"x" * 40), repacked(b"\0" * (1 << 20)), repacked(b"\0" * (40 << 20)),
])
def test_what_is_no_histogram_is_refused(text: str) -> None:
    with pytest.raises(BadHistogram):
        decode(text)


@pytest.mark.parametrize(("at", "form", "value"), [
    (0, ">I", 0x1C849301), (4, ">I", 99), (8, ">I", 1), (12, ">I", 2), (16, ">Q", 2),
    (24, ">Q", 10**9), (32, ">d", 2.0), (32, ">d", float("nan")),
])
def test_another_layout_is_refused(at: int, form: str, value: float) -> None:
    plain = bytearray(plain_of(encoded([1, 2, 3])))
    struct.pack_into(form, plain, at, value)
    with pytest.raises(BadHistogram):
        decode(repacked(bytes(plain)))


@pytest.mark.parametrize("payload", [
    b"\x80", b"\x80" * 8, b"\x01" + b"\xff" * 9, b"\xff\xff\xff\xff\x7f",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x02" * (33 * 1024 + 1),
])
def test_counts_that_cannot_be_are_refused(payload: bytes) -> None:
    plain = plain_of(encoded([]))
    head = bytearray(plain[:40])
    struct.pack_into(">I", head, 4, len(payload))
    with pytest.raises(BadHistogram):
        decode(repacked(bytes(head) + payload))
