"""What README shows of recorded presets, and that nothing stands where nothing was recorded."""

from pathlib import Path

import pytest

from echobench import readme
from echobench.marked_block import splice
from echobench.plan import sweep
from echobench.tests.sample import simulated, write


def test_a_recorded_preset_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = (readme.ROOT / "README.md").read_text(encoding="utf-8")
    loads = sweep({"connections": [1, 10]})
    write(tmp_path / "results/lab", *simulated(loads, {"blocking": 1.0, "epoll": 1.5}))
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    right = readme.right_document("README.md", document)
    assert "| blocking | " in right and "k/s" in right
    assert "| epoll | x 1." in right
    assert "(results/lab/report.md)" in right
    assert "### A sample" in right
    assert "(results/quickstart)" not in right  # it is not recorded there
    assert readme.right_document("README.md", right) == right


def test_an_empty_block_is_empty() -> None:
    assert splice("a <b> x <e> c", "<b>", "<e>", "") == "a <b>\n\n<e> c"
    assert splice("a <b> x <e> c", "<b>", "<e>", "y") == "a <b>\n\ny\n\n<e> c"
