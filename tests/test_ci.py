""".github/workflows/ci.yml runs steps that scripts/test has."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_its_steps_are_those_of_the_test_command() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    matrix = re.search(r"^ +step: \[(.*)]$", workflow, re.MULTILINE)
    assert matrix and ".ci/run --only=${{ matrix.step }}" in workflow
    known = subprocess.run([ROOT / ".ci/run", "--help"], capture_output=True, text=True,
                           check=True).stdout
    for step in matrix[1].split(", "):
        assert re.search(f"^  {step} ", known, re.MULTILINE), f"scripts/test has no step {step}"
