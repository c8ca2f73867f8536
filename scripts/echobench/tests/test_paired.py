"""The comparison itself: a thing does not differ from itself, and a true difference is found."""

import math
import random
from collections.abc import Callable

import pytest

from echobench.paired import (
    FASTER,
    NO_DIFFERENCE,
    SLOWER,
    TOO_FEW,
    PairedRatio,
    _patterns_up_to,
    _signed_rank_cut,
    paired_ratio,
    verdict,
)

Noise = Callable[[random.Random], float]


def gaussian(generator: random.Random) -> float:
    return math.exp(generator.gauss(0, 0.03))


def heavy_tailed(generator: random.Random) -> float:
    """One slice in ten is eight times as noisy: a neighbour on the host."""
    return math.exp(generator.gauss(0, 0.24 if generator.random() < 0.1 else 0.03))


def with_dips(generator: random.Random) -> float:
    """One slice in seven loses a good part of its throughput; none ever gains."""
    lost = abs(generator.gauss(0, 0.3)) if generator.random() < 0.15 else 0.0
    return math.exp(generator.gauss(0, 0.03) - lost)


def share_judged(words: str, true_ratio: float, noise: Noise, blocks: int, runs: int) -> float:
    """The share of simulated experiments that come to this verdict. Each block has a level of its
    own, up to 30 % off, as this kind of machine has it from minute to minute."""
    generator = random.Random(20_000 + blocks)
    judged = 0
    for _ in range(runs):
        level = [100e3 * math.exp(generator.uniform(-0.3, 0.3)) for _ in range(blocks)]
        baseline = [each * noise(generator) for each in level]
        candidate = [each * noise(generator) * true_ratio for each in level]
        judged += verdict(paired_ratio(baseline, candidate), higher_is_better=True) == words
    return judged / runs


@pytest.mark.parametrize("noise", [gaussian, heavy_tailed, with_dips])
@pytest.mark.parametrize("blocks", [8, 11, 14, 20])
def test_a_thing_against_itself_shows_no_difference(noise: Noise, blocks: int) -> None:
    assert share_judged(NO_DIFFERENCE, 1.0, noise, blocks, runs=1000) >= 0.94


@pytest.mark.parametrize(
    ("noise", "blocks", "found"),
    [(gaussian, 8, 0.65), (gaussian, 20, 0.98), (heavy_tailed, 20, 0.70)],
)
def test_a_true_five_per_cent_is_found(noise: Noise, blocks: int, found: float) -> None:
    assert share_judged(FASTER, 1.05, noise, blocks, runs=300) >= found
    assert share_judged(SLOWER, 1 / 1.05, noise, blocks, runs=300) >= found


def test_the_interval_holds_the_true_ratio() -> None:
    generator = random.Random(7)
    held = 0
    for _ in range(1000):
        baseline = [gaussian(generator) for _ in range(8)]
        candidate = [gaussian(generator) * 1.2 for _ in range(8)]
        ratio = paired_ratio(baseline, candidate)
        assert ratio is not None
        held += ratio.low <= 1.2 <= ratio.high
    assert 0.94 <= held / 1000 <= 0.98


@pytest.mark.parametrize(
    ("blocks", "left_out"),
    # Critical values of the two-sided 5 % signed-rank test, as printed in tables of it.
    [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (12, 13), (15, 25), (20, 52), (25, 89)],
)
def test_the_ends_are_the_tabled_critical_values(blocks: int, left_out: int) -> None:
    logs = [2.0**index for index in range(blocks)]  # all Walsh averages differ
    ratio = paired_ratio([1.0] * blocks, [math.exp(each / 2**blocks) for each in logs])
    walsh = sorted((a + b) / 2 for i, a in enumerate(logs) for b in logs[i:])
    assert ratio is not None
    assert ratio.low == pytest.approx(math.exp(walsh[left_out] / 2**blocks))
    assert ratio.high == pytest.approx(math.exp(walsh[-1 - left_out] / 2**blocks))
    assert ratio.confidence >= 0.95


def test_the_same_numbers_have_ratio_one() -> None:
    ratio = paired_ratio([3.0] * 8, [3.0] * 8)
    assert ratio is not None
    assert (ratio.ratio, ratio.low, ratio.high) == (1, 1, 1)
    assert verdict(ratio, higher_is_better=True) == NO_DIFFERENCE


def test_one_slice_gone_wrong_does_not_move_the_estimate() -> None:
    ratio = paired_ratio([100.0] * 9, [103.0, 104.0, 105.0, 106.0, 107.0, 104.5, 105.5, 105.0, 5.0])
    assert ratio is not None
    assert ratio.ratio == pytest.approx(1.05, abs=0.01)


def test_exchanging_the_subjects_turns_the_ratio_over() -> None:
    one, other = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.1, 2.3, 3.2, 4.9, 5.4, 6.6]
    there, back = paired_ratio(one, other), paired_ratio(other, one)
    assert there is not None and back is not None
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high)


@pytest.mark.parametrize("blocks", [99, 100, 101, 150])
def test_many_blocks_go_on_as_few_end(blocks: int) -> None:
    """From where the normal distribution counts, ranks and p-values are those of exact counting."""
    exact = _patterns_up_to(blocks)
    cut = _signed_rank_cut(blocks, 0.95)
    assert cut is not None
    right = max(rank for rank, below in enumerate(exact) if 1 - 2 * below / 2**blocks >= 0.95)
    assert abs(cut[0] - right) <= 2
    generator = random.Random(blocks)
    ratio = paired_ratio([1.0] * blocks, [math.exp(generator.gauss(0.2, 1)) for _ in range(blocks)])
    assert ratio is not None
    assert (ratio.p_value <= 0.05) == (not ratio.low <= 1 <= ratio.high)


def test_p_value_and_interval_never_disagree() -> None:
    generator = random.Random(11)
    for _ in range(500):
        blocks = generator.randint(6, 25)
        logs = [round(generator.gauss(0.3, 1), 1) for _ in range(blocks)]  # with ties and zeros
        ratio = paired_ratio([1.0] * blocks, [math.exp(each) for each in logs])
        assert ratio is not None
        assert (ratio.p_value <= 0.05) == (not ratio.low <= 1 <= ratio.high), logs


def test_the_p_value_is_the_tabled_one() -> None:
    ratio = paired_ratio([1.0] * 8, [math.exp(each) for each in (1, 2, 3, 4, 5, 6, 7, 8)])
    assert ratio is not None and ratio.p_value == pytest.approx(2 / 256)
    ratio = paired_ratio([1.0] * 8, [math.exp(each) for each in (-1, 2, 3, 4, 5, 6, 7, 8)])
    assert ratio is not None and ratio.p_value == pytest.approx(4 / 256)


@pytest.mark.parametrize("noise", [gaussian, heavy_tailed])
def test_going_on_until_it_is_narrow_does_not_find_more(noise: Noise) -> None:
    """--until=2%, from 10 blocks on, at most 40."""
    generator = random.Random(9)
    alarms = 0
    for _ in range(300):
        one = [noise(generator) for _ in range(10)]
        other = [noise(generator) for _ in range(10)]
        while (ratio := paired_ratio(one, other)) is not None:
            if ratio.precision <= 0.02 or len(one) == 40:
                break
            one.append(noise(generator))
            other.append(noise(generator))
        alarms += verdict(ratio, higher_is_better=True) != NO_DIFFERENCE
    assert alarms <= 24  # 8 %, where 5 % are to be expected: chance alone gives that in 1 of 100


def test_five_blocks_are_too_few() -> None:
    assert paired_ratio([1.0] * 5, [2.0] * 5) is None
    assert paired_ratio([], []) is None
    assert verdict(None, higher_is_better=True) == TOO_FEW


def test_words_follow_what_is_better() -> None:
    more = PairedRatio(blocks=8, ratio=1.1, low=1.05, high=1.2, confidence=0.96, p_value=0.04)
    assert verdict(more, higher_is_better=True) == FASTER
    assert verdict(more, higher_is_better=False) == SLOWER
    less = PairedRatio(blocks=8, ratio=0.9, low=0.8, high=0.95, confidence=0.96, p_value=0.04)
    assert verdict(less, higher_is_better=True) == SLOWER
    assert verdict(less, higher_is_better=False) == FASTER
    touching = PairedRatio(blocks=8, ratio=1.1, low=1.0, high=1.2, confidence=0.96, p_value=0.04)
    assert verdict(touching, higher_is_better=True) == NO_DIFFERENCE


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_positive_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        paired_ratio([1.0, bad], [1.0, 1.0])


def test_unpaired_values_are_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_ratio([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="confidence"):
        paired_ratio([1.0], [1.0], confidence=95)
