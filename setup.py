"""Builds the C core; everything else is said in pyproject.toml.

csrc/ becomes two extension modules: lightrag_bkp._core, and lightrag_bkp._probe of csrc/net and what that stands on,
which is loaded on the first health probe or request, because libcurl brings some thirty libraries. Libraries are found
through pkg-config. LRB_WERROR=1 makes warnings errors.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

LIBRARIES = {
    "libcrypto": "libssl-dev",
    "libzstd": "libzstd-dev",
    "libdeflate": "libdeflate-dev",
    "expat": "libexpat1-dev",
    "libcurl": "libcurl4-openssl-dev",
}
"""pkg-config name -> Debian package."""
PROBE = {"libcurl", "libdeflate"}
"""What _probe links; _core links all but libcurl."""
COMPILE_FLAGS = ["-std=c11", "-D_GNU_SOURCE=1", "-fvisibility=hidden", "-O3", "-pthread", "-Wall", "-Wextra"]
COMPILE_FLAGS += ["-ffp-contract=off"]  # stored bytes may not depend on whether a processor fuses multiply and add
COMPILE_FLAGS += ["-fno-trapping-math", "-fno-math-errno"]  # nobody looks at either, and loops are vectorised
UNHELPFUL_WARNINGS = [
    "-Wno-format-truncation",  # texts of errors are cut on purpose
    "-Wno-maybe-uninitialized",  # gcc cannot know that a function that reports an error returns no 0
    "-Wno-unknown-warning-option",  # clang has no maybe-uninitialized
]
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


MACHINES = ("x86_64", "aarch64")


def unsupported() -> str:
    """Why this program cannot run here, in one sentence; empty where it can."""
    here = f"{platform.python_implementation()} {platform.python_version()} on {sys.platform} {platform.machine()}"
    if sys.platform == "linux" and platform.machine() in MACHINES and platform.python_implementation() == "CPython":
        return ""
    return f"lightrag-bkp runs on Linux (x86-64 or aarch64) with CPython 3.11 or newer, and this is {here}"


def is_installed(library: str) -> bool:
    return subprocess.run(["pkg-config", "--exists", library]).returncode == 0


def missing_packages() -> list[str]:
    """Debian packages that hold what the build needs and this machine lacks."""
    missing = [] if shutil.which(os.environ.get("CC", "cc").split()[0]) else ["gcc"]
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        missing.append("python3-dev")
    if not shutil.which("pkg-config"):
        return [*missing, "pkg-config", *LIBRARIES.values()]
    return missing + [package for name, package in LIBRARIES.items() if not is_installed(name)]


def pkg_config(option: str, libraries: set[str]) -> list[str]:
    words = ["pkg-config", option, *sorted(libraries)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


class BuildCore(build_ext):
    """Looks for the libraries only when something is compiled, so that metadata can be had without them."""

    def build_extensions(self) -> None:
        if sentence := unsupported():
            sys.exit(sentence)
        if missing := missing_packages():
            sys.exit(f"lightrag-bkp cannot be built here yet; on Debian run: apt-get install {' '.join(missing)}")
        for extension in self.extensions:
            libraries = PROBE if extension.name == "lightrag_bkp._probe" else set(LIBRARIES) - {"libcurl"}
            extension.extra_compile_args += pkg_config("--cflags", libraries)
            extension.extra_link_args += pkg_config("--libs", libraries)
        super().build_extensions()


PROBE_PY = {"csrc/py/probe.c", "csrc/py/client.c"}
SHARED_PY = {"csrc/py/error.c", "csrc/py/text.c"}


def sources(*patterns: str) -> set[str]:
    return {str(path) for pattern in patterns for path in Path("csrc").glob(pattern)}


def extension(name: str, files: set[str]) -> Extension:
    return Extension(
        name,
        sources=sorted(files),
        depends=sorted(sources("*/*.h", "*/*.def")),
        include_dirs=["csrc"],
        extra_compile_args=COMPILE_FLAGS
        + UNHELPFUL_WARNINGS
        + (["-Werror"] if os.environ.get("LRB_WERROR") == "1" else []),
        extra_link_args=["-pthread", "-lm"],
        py_limited_api=not FREE_THREADED,
    )


core = extension("lightrag_bkp._core", sources("*/*.c") - sources("net/*.c") - PROBE_PY)
below_net = sources("base/*.c", "codec/adler.c", "codec/base64*.c", "codec/cpu.c", "codec/siphash.c")
below_net |= sources("lightrag/json.c", "lightrag/bytes.c", "lightrag/text_run.c")
probe = extension("lightrag_bkp._probe", sources("net/*.c") | below_net | PROBE_PY | SHARED_PY)

setup(
    ext_modules=[core, probe],
    cmdclass={"build_ext": BuildCore},
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
