# SPDX-License-Identifier: ISC
"""The program and its unit tests with all defects in them: built in build/defects/tree, which is the
source tree but for the sources that seed.py has been through."""
import os
import re
import shutil
import subprocess

import seed

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("B", TOP + "/build"))
TREE = BUILD + "/defects/tree"
OUT = TREE + "/build"
MAGIC = b"here are defects"
DEFECT_AT, RECORD_AT, RECORD_MAX = 16, 20, 108


def write_if_changed(path, text):
    if not os.path.islink(path) and os.path.exists(path):
        with open(path, "rb") as f:
            if f.read() == text:
                return
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "wb") as f:
        f.write(text)


def link(target, path):
    if os.path.islink(path) and os.readlink(path) == target:
        return
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)


def flags():
    """For clang: what the C library and BearSSL need, from make."""
    own = subprocess.run(["clang", "-print-resource-dir"], stdout=subprocess.PIPE, text=True,
                         check=True).stdout.strip()
    triple = f"{os.uname().machine}-linux-musl"
    return ["-std=c11", "-D_GNU_SOURCE", f"-I{TOP}/include", f"-I{BUILD}", "-nostdinc", "-isystem",
            f"/usr/include/{triple}", "-isystem", f"{BUILD}/bearssl/inc", "-isystem",
            own + "/include"]


def seed_all():
    """All places, in the order of their numbers."""
    os.makedirs(TREE + "/core", exist_ok=True)
    for name in "Makefile", "include", "applets", "tests", "scripts":
        link(f"{TOP}/{name}", f"{TREE}/{name}")
    for name in os.listdir(TOP + "/core"):
        if name[:-2] not in seed.MODULES:
            link(f"{TOP}/core/{name}", f"{TREE}/core/{name}")
    link(HERE + "/seeded.h", TREE + "/core/seeded.h")
    places, options = [], flags()
    for module in seed.MODULES:
        source, found = seed.places_of(module, f"{TOP}/core/{module}.c", options)
        write_if_changed(f"{TREE}/core/{module}.c", seed.seeded(source, found, len(places)))
        places += found
    return places


def take_objects(directory):
    """Of the sources without defects, those that are built already."""
    os.makedirs(f"{OUT}/{directory}", exist_ok=True)
    for name in os.listdir(f"{BUILD}/{directory}"):
        own, there = f"{OUT}/{directory}/{name}", f"{BUILD}/{directory}/{name}"
        if name.endswith(".o") and name[:-2] not in seed.MODULES and (
                not os.path.exists(own) or os.path.getmtime(own) < os.path.getmtime(there)):
            shutil.copy2(there, own)


def make(*targets):
    os.makedirs(OUT, exist_ok=True)
    for name in "bearssl", "bearssl-lib":
        link(f"{BUILD}/{name}", f"{OUT}/{name}")
    shutil.copy2(f"{BUILD}/config.h", f"{OUT}/config.h")
    for directory in "core", "applets", "unit/core":
        if os.path.isdir(f"{BUILD}/{directory}"):
            take_objects(directory)
    subprocess.run(["make", "-s", "-C", TREE, f"-j{os.cpu_count()}", "B=build", "LDFLAGS=-fno-lto",
                    *("build/" + t for t in targets)], check=True, stdin=subprocess.DEVNULL)


def has_defects(path):
    if not os.path.exists(path):
        return False  # made while we were at work
    with open(path, "rb") as f:
        return MAGIC in f.read()


class Program:
    """One that was built: copies with a defect, or with a record of what was come by."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes = f.read()
        self.at = [m.start() for m in re.finditer(re.escape(MAGIC), self.bytes)]
        if not self.at:
            raise SystemExit(f"{path}: it has no defects")

    def write(self, path, defect=-1, record=""):
        image = bytearray(self.bytes)
        for at in self.at:
            image[at + DEFECT_AT:at + RECORD_AT] = defect.to_bytes(4, "little", signed=True)
            name = record.encode().ljust(RECORD_MAX, b"\0")
            assert len(name) == RECORD_MAX
            image[at + RECORD_AT:at + RECORD_AT + RECORD_MAX] = name
        if os.path.exists(path):
            os.unlink(path)
        with open(path, "wb") as f:
            f.write(image)
        os.chmod(path, 0o755)
