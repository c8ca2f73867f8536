"""In which order slices are measured: every subject once in each block, in a random order.

The random order is what makes the comparison exact (see `paired`); the seed makes it repeatable.
"""

import random
from collections.abc import Sequence


def interleave(subjects: Sequence[str], blocks: int, seed: int) -> list[list[str]]:
    """The order of the subjects for each block."""
    if len(set(subjects)) != len(subjects):
        raise ValueError("subjects must have different names")
    generator = random.Random(seed)
    return [generator.sample(subjects, k=len(subjects)) for _ in range(blocks)]
