import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import warm_up


class WarmUp(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.cache = self.folder / "usr/share/numba"
        self.imports = self.folder / "imports"
        for patch in (
            mock.patch.dict(os.environ, NUMBA_CACHE_DIR=str(self.cache)),
            mock.patch.object(sys, "path", [str(self.folder), *sys.path]),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def module(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(text)
        self.addCleanup(sys.modules.pop, name, None)

    def test_imports_each_module(self) -> None:
        for name in ("warm_one", "warm_two"):
            self.module(name, f"open({str(self.folder / name)!r} + '.done', 'w').close()\n")
        self.imports.write_text("warm_one\nwarm_two\n")
        warm_up.main(str(self.imports))
        self.assertEqual({path.name for path in self.folder.glob("*.done")}, {"warm_one.done", "warm_two.done"})

    def test_passes_over_what_cannot_be_imported(self) -> None:
        self.module("warm_broken", "raise RuntimeError('not here')\n")
        self.module("warm_last", f"open({str(self.folder / 'last')!r}, 'w').close()\n")
        self.imports.write_text("warm_absent\nwarm_broken\nwarm_last\n")
        warm_up.main(str(self.imports))
        self.assertTrue((self.folder / "last").exists())

    def test_makes_the_folder_though_nothing_compiles(self) -> None:
        self.imports.write_text("")
        warm_up.main(str(self.imports))
        self.assertTrue(self.cache.is_dir())
