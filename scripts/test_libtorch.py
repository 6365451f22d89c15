"""Tests of libtorch.sh, with small generated wheels instead of PyPI's.

    python -m unittest discover -s scripts -p 'test_*.py'
"""

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
# As in the real wheel: an RPATH with the folders of NVIDIA's wheels, then the library's own folder.
RPATH = "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../../nvidia/cudnn/lib:$ORIGIN"
PACKAGES = {
    # half, package, version: the files in its wheel
    ("cpu", "torch", "2.11.0"): [
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libtorch_cuda.so",
        "torch/lib/libtorch_python.so",
        "torch/include/torch/csrc/api/include/torch.h",
        "torch/nn.py",
    ],
    ("cpu", "nvidia-cuda-runtime", "13.0.96"): ["nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/include/cuda.h"],
    ("cuda", "nvidia-cudnn-cu13", "9.19.0.56"): ["nvidia/cudnn/lib/libcudnn.so.9"],
}


def compile_libraries(folder: Path) -> dict[str, bytes]:
    """Shared libraries with the dependencies of the real ones, by file name."""

    def compile(name: str, *needed: str) -> None:
        command = ["cc", "-shared", "-nostdlib", "-x", "c", "/dev/null", "-x", "none", "-Wl,--no-as-needed", RPATH]
        command += [f"-Wl,-soname,{name}", f"-L{folder}", "-o", str(folder / name), *(f"-l:{other}" for other in needed)]
        subprocess.run(command, check=True)

    compile("libcudart.so.13")
    compile("libcudnn.so.9")
    compile("libtorch_cpu.so", "libcudart.so.13")
    compile("libtorch_cuda.so", "libtorch_cpu.so", "libcudnn.so.9")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@unittest.skipUnless((sys.platform, platform.machine()) == ("linux", "x86_64"), "the wheels are pinned for Linux on x86-64")
class LibtorchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.shared.cleanup)
        libraries = Path(cls.shared.name) / "libraries"
        libraries.mkdir()
        cls.libraries = compile_libraries(libraries)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.target = self.folder / ".libtorch"
        self.bin = self.folder / "bin"
        self.index = self.folder / "index"
        for made in (self.folder / "scripts", self.bin, self.index, self.folder / "no-torch" / "torch"):
            made.mkdir(parents=True)
        shutil.copy(SCRIPTS / "libtorch.sh", self.folder / "scripts")
        # An empty `torch` module hides the one that the Python of this machine may have.
        (self.folder / "no-torch" / "torch" / "__init__.py").touch()
        self.make_wheels()
        self.program("nvidia-smi", "exit 9")

    def program(self, name: str, text: str) -> Path:
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    def gpu(self):
        self.program("nvidia-smi", "echo NVIDIA H100")

    def make_wheels(self):
        pins = ["# comment"]
        for (half, package, version), names in PACKAGES.items():
            stem = f"{package.replace('-', '_')}-{version}"
            wheel = self.index / f"{stem}-py3-none-any.whl"
            with zipfile.ZipFile(wheel, "w") as archive:
                for name in names:
                    archive.writestr(name, self.libraries.get(name.rsplit("/", 1)[-1], b"text"))
                archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
                archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
                archive.writestr(f"{stem}.dist-info/RECORD", "")
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            pin = f"{package}=={version} manylinux_2_28_x86_64 {wheel.stat().st_size} 5000000 {digest}"
            pins.append(f"{half} {pin}")
            if package == "torch":
                pins.append(f"cuda {pin}")
        self.pins = self.folder / "scripts" / "libtorch-wheels.txt"
        self.pins.write_text("\n".join(pins) + "\n")

    def torch_of_python(self, version: str, *libraries: str) -> Path:
        """A virtual environment with a torch; its folder."""
        torch = self.folder / "environment" / "lib" / "torch"
        (torch / "lib").mkdir(parents=True)
        (torch / "include" / "torch" / "csrc" / "api" / "include").mkdir(parents=True)
        (torch / "__init__.py").write_text("raise SystemExit('it is not to be imported')")
        (torch / "version.py").write_text(f"__all__ = []\n__version__ = '{version}'\n")
        for library in libraries:
            (torch / "lib" / library).write_bytes(self.libraries[library])
        environment_bin = self.folder / "environment" / "bin"
        environment_bin.mkdir()
        python = self.program("environment-python", f'PYTHONPATH="{torch.parent}" exec python3 "$@"')
        python.rename(environment_bin / "python")
        return torch

    def call(self, expect: int = 0, **environment: str) -> str:
        """The output of the script, standard output and error together."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("CUDA", "LIBTORCH", "LIBTORCH_TARGET", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH")
            and not name.startswith("PIP_")
        }
        own = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "PYTHONPATH": str(self.folder / "no-torch"),
        }
        if (self.folder / "environment").exists():
            own["VIRTUAL_ENV"] = str(self.folder / "environment")
        done = subprocess.run(
            ["bash", str(self.folder / "scripts" / "libtorch.sh")],
            env=inherited | own | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.assertEqual(done.returncode, expect, done.stdout)
        return done.stdout

    def installed(self) -> list[str]:
        return sorted(file.name for file in (self.target / "lib").iterdir())

    CPU = ["libcudart.so.13", "libtorch_cpu.so"]
    ALL = ["libcudart.so.13", "libcudnn.so.9", "libtorch_cpu.so", "libtorch_cuda.so"]

    def test_without_a_gpu_the_cpu_half_is_fetched_once(self):
        said = self.call()
        self.assertIn("2 wheels", said)
        self.assertEqual(self.installed(), self.CPU)
        self.assertTrue((self.target / "include/torch/csrc/api/include/torch.h").exists())
        self.assertEqual(self.call(), "")

    def test_where_there_is_a_gpu_both_halves_are_fetched_and_the_size_is_said_first(self):
        self.gpu()
        said = self.call()
        first, second = said.splitlines()[:2]
        self.assertIn("this host has a GPU (NVIDIA H100)", first)
        self.assertRegex(second, r"fetching \d+ MB \(3 wheels\) from PyPI, 20 MB when unpacked")
        self.assertEqual(self.installed(), self.ALL)
        self.assertEqual(self.call(), "")

    def test_cuda_0_leaves_it_out_and_a_path_is_no_answer(self):
        self.gpu()
        self.call(CUDA="0")
        self.assertEqual(self.installed(), self.CPU)
        self.call(CUDA="/usr/local/cuda")
        self.assertEqual(self.installed(), self.ALL)

    def test_from_cpu_to_cuda_what_is_missing_is_added(self):
        self.call()
        before = (self.target / "lib/libtorch_cpu.so").stat()
        said = self.call(CUDA="1")
        self.assertNotIn("nvidia-cuda-runtime", said)
        self.assertEqual(self.installed(), self.ALL)
        after = (self.target / "lib/libtorch_cpu.so").stat()
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.assertEqual(self.call(), "", "a libtorch with CUDA serves without as well")
        self.assertFalse((self.folder / ".libtorch.partial").exists())

    def test_another_wheel_than_the_pinned_one_is_refused(self):
        self.call()
        pins = self.pins.read_text().splitlines()
        self.pins.write_text("\n".join(pins[:-1]) + "\n" + pins[-1][:-64] + "0" * 64 + "\n")
        self.assertIn("refusing to use it", self.call(1, CUDA="1"))
        self.assertEqual(self.installed(), self.CPU)
        # If the user did not ask for CUDA it is a warning: the demo still runs.
        self.gpu()
        said = self.call()
        self.assertIn("refusing to use it", said)
        self.assertIn("warning: this host's GPU will not be used", said)
        self.assertEqual(self.installed(), self.CPU)

    def test_a_cuda_half_that_does_not_load_is_not_installed(self):
        self.call()
        pins = [pin for pin in self.pins.read_text().splitlines() if "cudnn" not in pin]
        self.pins.write_text("\n".join(pins) + "\n")
        said = self.call(1, CUDA="1")
        self.assertIn("does not load: libcudnn.so.9", said)
        self.assertEqual(self.installed(), self.CPU)

    def test_a_cuda_half_that_has_lost_something_is_set_up_anew_when_asked_for(self):
        self.call(CUDA="1")
        self.assertEqual(self.call(CUDA="1"), "")
        (self.target / "lib/libcudnn.so.9").unlink()
        self.assertEqual(self.call(), "")
        self.assertIn("does not load, setting it up anew: libcudnn.so.9", self.call(CUDA="1"))
        self.assertEqual(self.installed(), self.ALL)

    def test_too_small_a_disk_is_said_before_anything_is_fetched(self):
        self.pins.write_text(self.pins.read_text().replace(" 5000000 ", f" {10**18} "))
        said = self.call(1)
        self.assertIn("MB are needed and", said)
        self.assertFalse(self.target.exists())

    def test_the_torch_of_a_python_serves(self):
        torch = self.torch_of_python("2.11.0+cu130", *self.ALL)
        self.gpu()
        said = self.call()
        self.assertIn(f"2.11.0 with CUDA is that of {self.folder}/environment/bin/python, in {torch}", said)
        self.assertEqual((self.target / "lib").resolve(), torch / "lib")
        self.assertEqual((self.target / "include").resolve(), torch / "include")
        self.assertEqual(self.call(), "")
        # The other Python has another version now, or none.
        (torch / "version.py").write_text("__version__ = '2.12.0'\n")
        self.assertIn("it is version 2.12.0, not 2.11.0", self.call())
        self.assertFalse((self.target / "lib").is_symlink())
        self.assertEqual(self.installed(), self.ALL)
        self.assertTrue((torch / "lib/libtorch_cuda.so").exists())

    def test_a_torch_without_cuda_serves_only_without_a_gpu(self):
        torch = self.torch_of_python("2.11.0+cpu", *self.CPU)
        self.assertIn("2.11.0 without CUDA is that of", self.call())
        self.assertTrue((self.target / "lib").is_symlink())
        said = self.call(CUDA="1")
        self.assertIn("it is one without CUDA", said)
        self.assertEqual(self.installed(), self.ALL)
        self.assertEqual(sorted(file.name for file in (torch / "lib").iterdir()), self.CPU, "it is not ours to add to")

    def test_a_torch_whose_cuda_half_does_not_load_is_not_used(self):
        self.torch_of_python("2.11.0+cu130", *self.CPU, "libtorch_cuda.so")
        said = self.call(CUDA="1")
        self.assertIn("its CUDA half does not load: libcudnn.so.9", said)
        self.assertFalse((self.target / "lib").is_symlink())
        self.assertEqual(self.installed(), self.ALL)

    def test_a_given_folder_is_used_and_judged(self):
        torch = self.torch_of_python("2.11.0+cpu", *self.CPU)
        self.assertEqual(self.call(LIBTORCH=str(torch)), f"libtorch: using LIBTORCH={torch}\n")
        self.assertIn("has no lib/libtorch_cuda.so", self.call(1, LIBTORCH=str(torch), CUDA="1"))
        self.gpu()
        said = self.call(LIBTORCH=str(torch))
        self.assertIn("warning", said)
        self.assertIn("this host's GPU will not be used", said)
        (torch / "version.py").write_text("__version__ = '2.10.0'\n")
        self.assertIn("which is version 2.10.0; 2.11.0 is needed", self.call(1, LIBTORCH=str(torch)))
        self.assertIn("there is no lib/libtorch_cpu in it", self.call(1, LIBTORCH=str(self.folder)))
        self.assertFalse(self.target.exists())


if __name__ == "__main__":
    unittest.main()
