"""Runs the tests of the Dockerfiles' scripts, and prints a line of JSON for each."""

import json
import sys
import unittest
from pathlib import Path

here = Path(__file__).parent
sys.path.insert(0, str(here.parents[1] / "docker/scripts"))


class Lines(unittest.TestResult):
    def tell(self, test: unittest.TestCase, state: str, text: str = "") -> None:
        print(json.dumps({"test": test.id(), "state": state, "text": text}), flush=True)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.tell(test, "passed")

    def addFailure(self, test: unittest.TestCase, err: tuple) -> None:
        super().addFailure(test, err)
        self.tell(test, "failed", self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: tuple) -> None:
        super().addError(test, err)
        self.tell(test, "failed", self.errors[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: tuple | None) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.tell(test, "failed", (self.failures + self.errors)[-1][1])

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.tell(test, "skipped", reason)


unittest.TestLoader().discover(str(here)).run(Lines())
