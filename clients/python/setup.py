"""Adds to the build what protoc makes of proto/: the package scalelaw_client.v1."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
MESSAGES = [f"scalelaw/v1/{name}.proto" for name in ("sweeps", "runs", "workers", "laws")]


def program(name, package):
    found = shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is not installed; it is in Debian's package {package}")
    return found


class BuildWithStubs(build_py):
    def run(self):
        super().run()
        root = HERE if self.editable_mode else Path(self.build_lib)
        with tempfile.TemporaryDirectory() as temporary:
            self.generate(Path(temporary), root / "scalelaw_client/v1")

    def generate(self, temporary, package):
        if not PROTO.is_dir():
            raise SystemExit(f"{PROTO} is missing; build from a checkout of scalelaw")
        plugin = program("grpc_python_plugin", "protobuf-compiler-grpc")
        subprocess.run([program("protoc", "protobuf-compiler"), f"-I{PROTO}", f"--python_out={temporary}",
                        f"--pyi_out={temporary}", f"--grpc_out={temporary}", f"--plugin=protoc-gen-grpc={plugin}",
                        *MESSAGES], check=True)
        package.mkdir(parents=True, exist_ok=True)
        for module in (temporary / "scalelaw/v1").glob("*.py*"):
            # A package called scalelaw would hide the trainers' scalelaw.py, or be hidden by it.
            text = re.sub(r"^from scalelaw\.v1 import", "from . import", module.read_text(), flags=re.MULTILINE)
            (package / module.name).write_text(text)
        (package / "__init__.py").write_text('"""Messages and stubs, generated from proto/scalelaw/v1."""\n')


setup(cmdclass={"build_py": BuildWithStubs})
