"""failed.py: how a part of the proof says what is wrong."""

import sys
import time
from collections.abc import Iterable

# A builder's log is shown while a step runs: of one that ends as it speaks, the last words may never be seen.
SEEN_SECONDS = 0.5


class Failed(Exception):
    """One sentence that says what is wrong, without a full stop."""


def tell(sentences: Iterable[str]) -> bool:
    """Says each of what is wrong, and whether there was any."""
    told = False
    for sentence in sentences:
        print("proof:", sentence, file=sys.stderr, flush=True)
        told = True
    if told:
        time.sleep(SEEN_SECONDS)
    return told
