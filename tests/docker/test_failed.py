import io
import time
import unittest
from contextlib import redirect_stderr

import failed


class Tell(unittest.TestCase):
    def test_says_each_and_stays_until_it_is_seen(self) -> None:
        said, started = io.StringIO(), time.monotonic()
        with redirect_stderr(said):
            self.assertTrue(failed.tell(["one is wrong", "two is wrong"]))
        self.assertEqual(said.getvalue(), "proof: one is wrong\nproof: two is wrong\n")
        self.assertGreaterEqual(time.monotonic() - started, failed.SEEN_SECONDS)

    def test_is_silent_and_quick_where_nothing_is_wrong(self) -> None:
        said, started = io.StringIO(), time.monotonic()
        with redirect_stderr(said):
            self.assertFalse(failed.tell([]))
        self.assertEqual(said.getvalue(), "")
        self.assertLess(time.monotonic() - started, failed.SEEN_SECONDS)
