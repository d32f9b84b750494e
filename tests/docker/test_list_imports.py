import tempfile
import unittest
from pathlib import Path

import list_imports


class ListImports(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.source = Path(folder.name)

    def write(self, name: str, text: str | bytes) -> None:
        file = self.source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    def listed(self) -> list[str]:
        return list_imports.list_imports(self.source)

    def test_names_the_modules_of_other_packages(self) -> None:
        self.write("facecraft/main.py", "import torch, cv2 as cv\nfrom rembg.bg import remove\nfrom numpy import *\n")
        self.assertEqual(self.listed(), ["cv2", "numpy", "rembg.bg", "torch"])

    def test_finds_those_of_functions_and_of_what_may_fail(self) -> None:
        self.write("facecraft/main.py", "def f():\n  try:\n    import dlib\n  except ImportError:\n    pass\n")
        self.assertEqual(self.listed(), ["dlib"])

    def test_leaves_out_python_itself_and_the_application(self) -> None:
        own = "import os.path, facecraft.models, tool\nfrom . import models\nfrom .. import x\n"
        self.write("facecraft/main.py", own)
        self.write("tool.py", "from __future__ import annotations\n")
        self.assertEqual(self.listed(), [])

    def test_names_each_once_whatever_the_files_are_called(self) -> None:
        self.write("b/one.py", "import torch\n")
        self.write("a/two.py", "import torch\nimport PIL.Image\n")
        self.assertEqual(self.listed(), ["PIL.Image", "torch"])

    def test_passes_over_what_is_no_python(self) -> None:
        self.write("facecraft/template.py", "import {{ package }}\n")
        self.write("facecraft/binary.py", b"\0\xff")
        self.write("facecraft/latin.py", b"# -*- coding: latin-1 -*-\nimport yaml # \xe9\n")
        self.assertEqual(self.listed(), ["yaml"])

    def test_a_change_that_imports_the_same_changes_nothing(self) -> None:
        self.write("facecraft/main.py", "import torch\n")
        before = self.listed()
        self.write("facecraft/main.py", "import torch\nprint(torch)\n")
        self.assertEqual(self.listed(), before)
