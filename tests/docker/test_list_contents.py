import json
import tempfile
import unittest
from pathlib import Path

import list_contents
from image import MODELS

STATUS = """\
Package: zlib1g
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: zlib
Version: 1:1.2.13.dfsg-1
Description: compression library - runtime
 zlib is a library implementing the deflate compression method.
 Package: of the description, which is no field

Package: perl-base
Status: install ok installed
Architecture: amd64
Source: perl (5.36.0-7~x1)
Version: 5.36.0-7

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9
Source: glibc

Package: libc6
Status: hold ok installed
Architecture: amd64
Version: 2.36-9
Source: glibc

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: adduser
Status: install ok installed
Architecture: all
Version: 3.134
"""


class Contents(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def test_lists_the_debian_packages_that_are_installed(self) -> None:
        rows = list_contents.list_debian(STATUS)
        self.assertEqual(
            [tuple(row.values()) for row in rows],
            [
                ("adduser", "3.134", "all", "adduser"),
                ("libc6", "2.36-9", "amd64", "glibc"),
                ("libc6", "2.36-9", "i386", "glibc"),
                ("perl-base", "5.36.0-7", "amd64", "perl 5.36.0-7~x1"),
                ("zlib1g", "1:1.2.13.dfsg-1", "amd64", "zlib"),
            ],
        )

    def test_lists_the_python_packages_as_they_were_recorded(self) -> None:
        rows = [
            {"name": "torch", "version": "2.0.1+cpu", "index": "torch", "file": "torch.whl", "sha256": "1" * 64},
            {"name": "stray", "version": "1", "index": None},
        ]
        self.write(list_contents.PACKAGES, json.dumps(rows))
        found = list_contents.list_python(self.root)
        self.assertEqual(found, [{**rows[1], "file": None, "sha256": None}, rows[0]])

    def test_lists_the_python_packages_of_the_base(self) -> None:
        for path, name in (
            ("usr/lib/python3/dist-packages/pip-23.0.dist-info", "pip"),
            ("usr/local/lib/python3.11/site-packages/Pip_Tools-7.dist-info", "Pip_Tools"),
            ("venv/lib/python3.11/site-packages/torch-2.dist-info", "torch"),
        ):
            self.write(f"{path}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 7.1\n")
        self.assertEqual(
            list_contents.list_base_python(self.root),
            [
                {"name": "pip", "version": "7.1", "folder": "/usr/lib/python3/dist-packages"},
                {"name": "pip-tools", "version": "7.1", "folder": "/usr/local/lib/python3.11/site-packages"},
            ],
        )

    def test_reads_which_distribution_it_is(self) -> None:
        text = '# made by hand\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n\nHOME_URL=\n'
        self.assertEqual(
            list_contents.read_distribution(text),
            {"id": "debian", "version": "12", "title": "Debian GNU/Linux 12 (bookworm)"},
        )
        self.assertEqual(list_contents.read_distribution("ID=arch\n"), {"id": "arch", "version": "", "title": "arch"})

    def test_writes_everything_down_sorted(self) -> None:
        self.write("etc/os-release", "ID=debian\nVERSION_ID=12\n")
        self.write("var/lib/dpkg/status", STATUS)
        self.write(list_contents.PACKAGES, "[]")
        for number, file in enumerate(reversed(MODELS)):
            placed = {"file": file, "sha256": str(number) * 64, "sizeBytes": number, "url": f"https://e.org/{number}"}
            self.write(f"placed/{number}.json", json.dumps(placed))
        secret = max(MODELS)
        contents = list_contents.list_contents(self.root, self.root / "placed", [secret])
        self.assertEqual([row["file"] for row in contents["models"] if row["url"] == ""], [secret])
        self.assertEqual([row["file"] for row in contents["models"]], sorted(MODELS))
        self.assertEqual([row["title"] for row in contents["models"]], [MODELS[file] for file in sorted(MODELS)])
        self.assertRegex(contents["interpreter"]["version"], r"^3\.\d+\.\d+")
        self.assertTrue(Path(contents["interpreter"]["file"]).is_file())
        list_contents.write_document(list_contents.CONTENTS, contents, self.root / "proof")
        self.assertEqual(json.loads((self.root / "proof" / list_contents.CONTENTS).read_text()), contents)


if __name__ == "__main__":
    unittest.main()
