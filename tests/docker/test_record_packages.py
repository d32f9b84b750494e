import json
import tempfile
import unittest
from pathlib import Path

import record_packages


def item(name: str, url: str, sha256: str | None = None) -> dict:
    archive = {"hashes": {"sha256": sha256}} if sha256 else {}
    return {"metadata": {"name": name}, "download_info": {"url": url, "archive_info": archive}}


class RecordPackages(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.reports = Path(folder.name, "reports")
        self.layer = Path(folder.name, "layer")
        self.reports.mkdir()

    def report(self, name: str, *items: dict) -> None:
        (self.reports / name).write_text(json.dumps({"install": items}))

    def install(self, name: str, version: str) -> None:
        info = self.layer / f"venv/lib/python3.11/site-packages/{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    def record(self) -> list[dict]:
        record_packages.main(str(self.reports), str(self.layer))
        return json.loads((self.layer / "usr/share/facecraft/packages.json").read_text())

    def test_names_the_index_the_file_and_its_hash(self) -> None:
        self.report("1-torch.json", item("torch", "https://index/whl/torch-2.0.1%2Bcpu-cp311.whl", "a" * 64))
        self.install("torch", "2.0.1+cpu")
        row = {"name": "torch", "version": "2.0.1+cpu", "index": "torch", "file": "torch-2.0.1%2Bcpu-cp311.whl"}
        self.assertEqual(self.record(), [{**row, "sha256": "a" * 64}])

    def test_takes_the_last_of_several_installations_by_number(self) -> None:
        self.report("9-default.json", item("opencv.Python_headless", "https://index/old.whl"))
        self.report("10-default.json", item("opencv-python-headless", "https://index/new.whl?token=hunter2"))
        self.install("opencv_python_headless", "4.8")
        [row] = self.record()
        self.assertEqual((row["name"], row["file"]), ("opencv-python-headless", "new.whl"))

    def test_has_a_row_without_an_index_for_what_no_report_names(self) -> None:
        self.install("stray", "1.0")
        self.install("also", "2.0")
        expected = [
            {"name": "also", "version": "2.0", "index": None},
            {"name": "stray", "version": "1.0", "index": None},
        ]
        self.assertEqual(self.record(), expected)


if __name__ == "__main__":
    unittest.main()
