"""What has to hold whatever the input is; hypothesis looks for an input with which it does not."""

import json
import re
from contextlib import suppress
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echobench import hdr, strict_json, table
from echobench.paired import paired_ratio
from echobench.plan import block_order, sweep
from echobench.result_set import manifest_of
from echobench.tests.sample import simulated
from echobench.typed import BadValue

# No time limit, which a busy machine would exceed, and no examples kept in the tree.
settings.register_profile("here", deadline=None, database=None)
settings.load_profile("here")

SPEEDS = st.floats(min_value=1e-3, max_value=1e9)
PAIRS = st.lists(st.tuples(SPEEDS, SPEEDS), min_size=6, max_size=24)
NAMES = st.lists(st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1),
                 min_size=1, max_size=6, unique=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(PAIRS, st.floats(min_value=0.01, max_value=100))
def test_a_ratio_is_a_ratio(pairs: list[tuple[float, float]], scale: float) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = paired_ratio(one, other), paired_ratio(other, one)
    scaled = paired_ratio(one, [scale * each for each in other])
    assert there is not None and back is not None and scaled is not None
    assert there.low <= there.ratio * (1 + 1e-9) and there.ratio <= there.high * (1 + 1e-9)
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.low == pytest.approx(1 / there.high)
    assert scaled.ratio == pytest.approx(scale * there.ratio)
    assert 0 < there.p_value <= 1


@given(NAMES, NAMES, st.integers(0, 2**31), st.integers(0, 1000))
def test_a_block_has_each_slice_once(subjects: list[str], loads: list[str], seed: int,
                                     block: int) -> None:
    order = block_order(subjects, loads, seed, block)
    assert sorted(order) == sorted((load, subject) for load in loads for subject in subjects)


@given(st.text() | VALUES.map(json.dumps))
def test_json_is_read_as_json_is_or_refused(text: str) -> None:
    with suppress(strict_json.NotStrict):
        assert strict_json.parse(text) == json.loads(text)


@settings(max_examples=300)
@given(st.data())
def test_a_manifest_is_understood_or_refused(data: st.DataObject) -> None:
    """One value of a right one replaced by any other."""
    manifest, _ = simulated(sweep({"connections": [1]}), {"a": 1.0, "b": 1.0}, blocks=1)
    right = json.loads(json.dumps({"schema_version": 2, **asdict(manifest)}))
    key = data.draw(st.sampled_from(sorted(right)))
    with suppress(BadValue):
        manifest_of({**right, key: data.draw(VALUES)})
    assert manifest_of(right) == manifest


@given(st.text())
def test_a_histogram_is_decoded_or_refused(text: str) -> None:
    with suppress(hdr.BadHistogram):
        hdr.decode(text)


@given(st.lists(st.lists(st.text(), min_size=3, max_size=3), min_size=1, max_size=5))
def test_no_cell_breaks_a_table(rows: list[list[str]]) -> None:
    lines = table.markdown([["a", "b", "c"], *rows]).split("\n")
    assert len(lines) == len(rows) + 2
    for line in lines:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 4
