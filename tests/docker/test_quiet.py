import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import network
import quiet

SPEAKS = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 9))"


class Quiet(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.found = self.folder / "quiet.json"
        patch = mock.patch.object(quiet, "FOUND", self.found)
        patch.start()
        self.addCleanup(patch.stop)

    def main(self, attempts: int, allowed: str = "refused", smoke_test: str = "1") -> tuple[int, str]:
        """What it ends with when so many attempts were counted, and what the record will say."""
        environment = {**os.environ, "SMOKE_TEST": smoke_test, "PROOF_NETWORK": allowed}
        counts = iter([0, attempts])
        done = subprocess.CompletedProcess([], 0)
        with (
            mock.patch.object(network, "count_attempts", lambda *_: next(counts)),
            mock.patch.object(subprocess, "run", lambda *_, **__: done),
            mock.patch.object(sys, "stderr"),
        ):
            return quiet.main("imports", environment), json.loads(self.found.read_text())["network"]

    def test_passes_what_asks_nobody(self) -> None:
        self.assertEqual(self.main(0), (0, "silent"))

    def test_refuses_what_asks(self) -> None:
        self.assertEqual(self.main(2), (1, "asked"))

    def test_records_what_asks_where_that_is_allowed(self) -> None:
        self.assertEqual(self.main(2, "allowed"), (0, "asked"))

    def test_is_off_with_the_boot(self) -> None:
        self.assertEqual(self.main(2, smoke_test="0"), (0, "off"))

    def test_names_who_asked(self) -> None:
        counts = iter([0, 1])
        with mock.patch.object(network, "count_attempts", lambda *_: next(counts)):
            (sentence,) = quiet.watch([sys.executable, "-c", SPEAKS], os.environ, False)
        self.assertIn("what the application imports tried to leave the image once within 10 s of being", sentence)
        self.assertIn("192.0.2.1, port 9", sentence)

    def test_uses_each_module_and_passes_over_those_that_cannot_be(self) -> None:
        (self.folder / "quiet_used.py").write_text(f"open({str(self.folder / 'used')!r}, 'w').close()\n")
        imports = self.folder / "imports"
        imports.write_text("quiet_absent\nquiet_used\n")
        (self.folder / "compiled").mkdir()
        (self.folder / "compiled/square.nbi").touch()
        with (
            mock.patch.object(sys, "path", [str(self.folder), *sys.path]),
            mock.patch.object(quiet, "COMPILED", self.folder / "compiled"),
            mock.patch.dict(os.environ, NUMBA_CACHE_DIR=str(self.folder / "cache")),
        ):
            quiet.use(str(imports))
        self.assertTrue((self.folder / "cache/square.nbi").exists())
        self.assertTrue((self.folder / "used").exists())
