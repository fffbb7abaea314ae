"""What the quickstart does about a machine that lacks something.

Run: python3 -m unittest discover tests/quickstart
"""

import contextlib
import io
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import quickstart


class Machine:
    """A machine that has only some programs; remembers what was run on it."""

    def __init__(self, *programs, root=False, pip=True):
        self.programs, self.root, self.pip, self.ran = programs, root, pip, []

    def run(self, command, **_):
        self.ran.append(command)
        return subprocess.CompletedProcess(command, 1 if command == ["sudo", "-n", "true"] else 0)

    def install_missing(self, build=True):
        patches = [
            mock.patch("shutil.which", lambda name: name if name in self.programs else None),
            mock.patch("subprocess.run", self.run),
            mock.patch("os.geteuid", lambda: 0 if self.root else 1000),
            mock.patch("importlib.util.find_spec", lambda name: object() if self.pip else None),
            mock.patch("sys.stdin", io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ]
        with contextlib.ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            quickstart.install_missing(build)


class InstallMissing(unittest.TestCase):
    def test_a_complete_machine_is_left_alone(self):
        machine = Machine("cc", "cargo")
        machine.install_missing()
        self.assertEqual(machine.ran, [])

    def test_root_on_debian_gets_what_is_missing(self):
        machine = Machine("apt-get", "cargo", root=True, pip=False)
        machine.install_missing()
        self.assertEqual(machine.ran[0], ["apt-get", "update"])
        self.assertEqual(machine.ran[1][-3:], ["gcc", "libc6-dev", "python3-pip"])

    def test_others_are_told_the_command(self):
        machine = Machine("apt-get", "sudo", "cargo")
        with self.assertRaisesRegex(quickstart.SetupError, "sudo apt-get install .* gcc libc6-dev"):
            machine.install_missing()
        self.assertEqual(machine.ran, [["sudo", "-n", "true"]])

    def test_other_systems_are_told_the_packages(self):
        with self.assertRaisesRegex(quickstart.SetupError, "gcc, libc6-dev"):
            Machine("cargo").install_missing()

    def test_rust_is_asked_for(self):
        with self.assertRaisesRegex(quickstart.SetupError, "rustup"):
            Machine("cc").install_missing()

    def test_fetching_needs_no_compiler(self):
        Machine().install_missing(build=False)


if __name__ == "__main__":
    unittest.main()
