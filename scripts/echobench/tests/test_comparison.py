"""From slices to words: what is claimed, what is left out, and what many quantities allow."""

import math
import random
from collections.abc import Sequence

import pytest

from echobench.comparison import (
    DOES_NOT_HOLD,
    NO_RATIO,
    Finding,
    compare,
    compare_all,
    conclusion,
    judgement,
    widest_precision,
)
from echobench.findings import for_people, for_programs, for_spreadsheets, overview
from echobench.loadgen_result import P99, THROUGHPUT
from echobench.measure import Slice
from echobench.paired import FASTER, NO_DIFFERENCE, SLOWER, TOO_FEW, paired_ratio, verdict
from echobench.plan import Workload, sweep
from echobench.several import holm
from echobench.summary import summary
from echobench.tests.sample import failed, manifest_of, simulated, slice_of, slices_of

LOAD = Workload({"connections": 500})
STEADY = [100e3, 101e3, 99e3, 100e3, 102e3, 98e3, 100e3, 101e3]
FASTER_RATES = [each * 1.1 for each in STEADY[1:] + STEADY[:1]]


def found(baseline: Sequence[Slice], candidate: Sequence[Slice]) -> dict[str, Finding]:
    findings = compare(LOAD, ("one", baseline), ("other", candidate))
    return {each.metric.key: each for each in findings}


def test_the_conclusion_names_the_faster() -> None:
    one, other = slices_of("one", STEADY), slices_of("other", FASTER_RATES)
    there = found(one, other)["throughput"]
    assert there.words == FASTER
    assert conclusion(there).startswith("other is faster than one here (throughput x 1.1")
    assert found(other, one)["throughput"].words == SLOWER


def test_the_conclusion_admits_that_nothing_is_shown() -> None:
    finding = found(slices_of("one", STEADY), slices_of("other", STEADY[::-1]))["throughput"]
    assert finding.words == NO_DIFFERENCE
    assert "no difference shown" in conclusion(finding)


def test_a_number_that_one_slice_lacks_is_not_compared() -> None:
    candidate = [*slices_of("other", FASTER_RATES[:7]), slice_of("other", 7, 110e3, p99=None)]
    p99 = found(slices_of("one", STEADY), candidate)["p99"]
    assert (p99.value, p99.ratio, p99.words) == (None, None, NO_RATIO)
    assert p99.baseline_value == 9e6


def test_a_server_that_is_not_local_has_no_cpu() -> None:
    slices = slices_of("one", STEADY)
    assert slices[0].result is not None
    slices[0].result["cpu"]["server"] = None
    assert found(slices, slices_of("other", STEADY))["server_cpu"].words == NO_RATIO


def test_no_memory_at_all_has_no_ratio() -> None:
    slices = slices_of("one", STEADY)
    assert slices[0].memory is not None
    slices[0].memory["peak_bytes"] = slices[0].memory["ready_bytes"]
    memory = found(slices, slices_of("other", STEADY))["memory"]
    assert (memory.words, memory.value) == (NO_RATIO, 4096 / 500)


def test_slices_are_paired_by_block_and_not_by_place() -> None:
    one = slices_of("one", [100e3 * 2**block for block in range(8)])
    other = [slice_of("other", block, 110e3 * 2**block) for block in reversed(range(8))]
    ratio = found(one, other)["throughput"].ratio
    assert ratio is not None
    assert ratio.low == pytest.approx(1.1)
    assert ratio.high == pytest.approx(1.1)


def test_a_block_that_was_interrupted_is_not_compared() -> None:
    finding = found(slices_of("one", STEADY), slices_of("other", FASTER_RATES[:7]))["throughput"]
    assert (finding.blocks, finding.left_out) == (7, 0)


def test_one_slice_in_ten_that_does_not_hold_leaves_its_block_out_openly() -> None:
    candidate = slices_of("other", FASTER_RATES + [110e3])
    candidate.append(slice_of("other", 9, 500e3, status="invalid", code="corrupt"))
    finding = found(slices_of("one", STEADY + [100e3, 100e3]), candidate)["throughput"]
    assert (finding.words, finding.blocks, finding.left_out) == (FASTER, 9, 1)
    assert for_people([finding])[1][-1] == "9 of 10"


@pytest.mark.parametrize("bad", ["invalid", "exit", "failed"])
def test_where_more_do_not_hold_nothing_is_claimed(bad: str) -> None:
    candidate = slices_of("other", FASTER_RATES[:6])
    for block in (6, 7):
        if bad == "failed":
            candidate.append(failed("other", block))
        elif bad == "exit":
            candidate.append(slice_of("other", block, 1e6, client_exit=3))
        else:
            candidate.append(slice_of("other", block, 1e6, status="invalid", code="corrupt"))
    finding = found(slices_of("one", STEADY), candidate)["throughput"]
    assert (finding.words, finding.ratio, finding.left_out) == (DOES_NOT_HOLD, None, 2)


def test_questionable_slices_are_compared() -> None:
    candidate = slices_of("other", FASTER_RATES, status="questionable", code="steal")
    assert found(slices_of("one", STEADY), candidate)["throughput"].words == FASTER


def test_too_few_runs() -> None:
    finding = found(slices_of("one", STEADY[:5]), slices_of("other", STEADY[:5]))["throughput"]
    assert (finding.words, finding.ratio) == (TOO_FEW, None)
    assert conclusion(finding) == "other against one: too few runs."
    assert found([], [])["throughput"].words == TOO_FEW


def test_where_the_rate_is_given_the_percentile_counts() -> None:
    load = Workload({"connections": 5, "rate": 1000})
    findings = compare(load, ("one", []), ("other", []))
    assert [each.metric for each in findings if each.primary] == [P99]
    findings = compare(LOAD, ("one", []), ("other", []))
    assert [each.metric for each in findings if each.primary] == [THROUGHPUT]


def test_the_judgement_counts_every_slice_and_reason() -> None:
    slices = slices_of("one", STEADY[:3])
    slices += slices_of("other", STEADY[:2], status="questionable", code="steal")
    lines, holds = judgement(slices)
    assert holds
    assert lines == [
        "5 slices: 3 valid, 2 questionable, 0 invalid",
        "questionable other, steal, 2 x under 500 connections: because of steal",
    ]
    lines, holds = judgement([*slices, failed("other", 9)])
    assert not holds
    assert lines[0] == "6 slices: 3 valid, 2 questionable, 0 invalid, 1 failed"
    assert lines[2] == "failed other, failed, 1 x under 500 connections: it did not start"


def test_many_reasons_of_one_kind_are_one_line() -> None:
    slices = [
        slice_of(name, 0, 1e5, load, status="questionable", code="steal")
        for name in ("a", "b") for load in ("x", "y", "z")
    ]
    assert judgement(slices)[0][1:] == [
        "questionable 2 subjects, steal, 6 x under 3 workloads: because of steal"
    ]


def test_either_word_of_the_load_generator_makes_a_slice_invalid() -> None:
    assert not judgement([slice_of("one", 0, 1e5, status="invalid", code="corrupt")])[1]
    assert not judgement([slice_of("one", 0, 1e5, client_exit=3)])[1]


def test_holm_as_it_is_printed_in_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_looking_at_many_quantities_does_not_find_more() -> None:
    """Six that hang together as latencies and CPU times do: judged each by its own interval, equal
    things differ in one of them in one experiment of six; judged together, in one of twenty."""
    generator = random.Random(5)
    alone = together = 0
    for _ in range(1000):
        ratios = []
        shared = [generator.gauss(0, 0.02) for _ in range(12)]
        for _ in range(6):
            logs = [each + generator.gauss(0, 0.03) for each in shared]
            ratio = paired_ratio([1.0] * 12, [math.exp(each) for each in logs])
            assert ratio is not None
            ratios.append(ratio)
        alone += any(verdict(each, True) != NO_DIFFERENCE for each in ratios)
        together += min(holm([each.p_value for each in ratios])) <= 0.05
    assert together <= 60
    assert alone >= 100


def test_a_word_is_taken_back_where_the_others_do_not_bear_it_out() -> None:
    """p99 alone: its interval leaves out 1 with p = 0.0156, but five quantities are looked at."""
    logs = [0.02, 0.03, 0.01, 0.05, 0.04, 0.06, -0.001, 0.07]
    candidate = [
        slice_of("other", block, rate, p99=round(9e6 * math.exp(log)))
        for block, (rate, log) in enumerate(zip(STEADY, logs))
    ]
    p99 = found(slices_of("one", STEADY), candidate)["p99"]
    assert p99.ratio is not None and p99.ratio.low > 1
    assert (p99.words, p99.among_many) == (NO_DIFFERENCE, True)
    assert for_people([p99])[1][3] == "no difference shown †"


def test_every_subject_is_compared_under_every_workload() -> None:
    loads = sweep({"connections": [1, 10]})
    manifest, slices = simulated(loads, {"a": 1.0, "b": 1.3, "c": 0.7}, blocks=8)
    words = {(each.workload, each.subject): each.words
             for each in compare_all(manifest, slices) if each.primary}
    assert words == {
        ("1 connection", "b"): FASTER, ("1 connection", "c"): SLOWER,
        ("10 connections", "b"): FASTER, ("10 connections", "c"): SLOWER,
    }
    rows = overview(manifest, slices, compare_all(manifest, slices))
    assert [row[:2] for row in rows[1:4]] == [["1 connection", each] for each in "abc"]
    assert rows[1][2:5] == ["the baseline", "1", "-"]


def test_the_widest_interval_decides_when_it_is_enough() -> None:
    manifest, slices = simulated(sweep({"connections": [1]}), {"a": 1.0, "b": 1.3}, blocks=20)
    widest = widest_precision(slices, manifest)
    assert widest is not None and 0.005 < widest < 0.04
    assert widest_precision(slices[:8], manifest) is None
    assert widest_precision([], manifest) is None


def test_programs_get_bare_numbers() -> None:
    findings = list(found(slices_of("one", STEADY), slices_of("other", FASTER_RATES)).values())
    first = for_programs(findings)[0]
    assert (first["metric"], first["unit"], first["words"]) == ("throughput", "messages/s", FASTER)
    assert first["low"] < first["ratio"] < first["high"]
    heading, *rows = for_spreadsheets(findings)
    assert len(rows) == 7 and all(len(row) == len(heading) for row in rows)


def test_the_summary_of_two_and_of_one() -> None:
    both = slices_of("one", STEADY) + slices_of("other", FASTER_RATES)
    text = summary(manifest_of(["one", "other"]), both)
    assert "other / one" in text and "other is faster than one here" in text
    text = summary(manifest_of(["one"]), slices_of("one", STEADY))
    assert "other" not in text and "100 k/s" in text
