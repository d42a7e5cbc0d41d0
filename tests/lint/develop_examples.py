#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does what docs/develop.md and docs/adding-an-encapsulation.md say to a copy of the tree, and compiles it: the pages must stay true.

    develop_examples.py BUILD_DIR
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import lint

ROOT = Path(__file__).resolve().parents[2]
DEVELOP, ENCAP = "docs/develop.md", "docs/adding-an-encapsulation.md"
LIST_END = re.compile(r"(\n\tX\([^\n]*?\))(\n\n#define WEFT_ENCAP_ENUM)")
COMPILED = ("loader/ctl/doctor/host_checks.cpp", "loader/daemon/desired_maps.cpp", "tests/prog_run/from_pod_test.cpp")


def add_encapsulation(tree, where, code):
    """One step of the page. Only the files named in it may be touched: that is what the page promises."""
    path = tree / where.split()[-1]
    if where.startswith("append to the list in "):
        text, count = LIST_END.subn(lambda m: f"{m[1]} \\\n{code.rstrip()}{m[2]}", path.read_text())
        assert count == 1, f"{path}: no list"
    elif where.startswith("add to "):
        text, count = re.subn(r"(\n#include [^\n]*\n)(?!#include)", lambda m: m[1] + code, path.read_text(), count=1)
        assert count == 1, f"{path}: no includes"
    else:
        assert not path.exists(), f"{path} exists"
        text = code
    path.write_text(text)


def run(argv, **more):
    """None, or what the command complained of."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **more)
    return None if done.returncode == 0 else f"{argv[0]}: {done.stderr or done.stdout}"


def apply_pages(tree):
    encapsulation = re.findall(r"<!-- (.*?) -->\n```c\n(.*?)```\n", (ROOT / ENCAP).read_text(), re.S)
    if len(encapsulation) != 3:
        return f"{ENCAP}: {len(encapsulation)} steps found, 3 expected"
    for where, code in encapsulation:
        add_encapsulation(tree, where, code)
    steps = re.findall(r"\n```(diff|sh)\n(.*?)```\n", (ROOT / DEVELOP).read_text(), re.S)
    if len(steps) != 5:
        return f"{DEVELOP}: {len(steps)} steps found, 5 expected"
    for kind, text in steps:
        # A hunk is found by its context, wherever the file has it by now.
        argv = ["git", "apply", "-"] if kind == "diff" else ["sh", "-eu"]
        if complaint := run(argv, cwd=tree, input=text):
            return f"{DEVELOP}: {complaint}in\n{text}"
    return None


def compile_one(tree, build, source):
    """As the build does, without writing anything."""
    entries = json.loads((build / "compile_commands.json").read_text())
    entry = next(e for e in entries if os.path.normpath(os.path.join(e["directory"], e["file"])) == str(ROOT / source))
    argv = [a for a in shlex.split(entry["command"]) if os.path.basename(a) != "ccache"]
    out = argv.index("-o")
    del argv[out:out + 2]
    inside = {"-I" + str(ROOT): "-I" + str(tree)}
    argv = [str(tree / source) if os.path.normpath(os.path.join(entry["directory"], a)) == str(ROOT / source) else
            inside.get(a, a.replace(f"-I{ROOT}/", f"-I{tree}/") if not a.startswith(f"-I{build}") else a) for a in argv]
    return run([*argv, "-fsyntax-only"], cwd=entry["directory"])


def compile_all(tree, build):
    bpf = subprocess.Popen(["make", "-f", tree / "Makefile.bpf", f"SRC={tree}", f"OUT={tree}/out"], text=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    complaints = [complaint for source in COMPILED if (complaint := compile_one(tree, build, source))]
    said = bpf.communicate()[1]
    return complaints + ([said] if bpf.returncode else [])


def ask_rules(tree):
    files = {str(path.relative_to(tree)): path.read_text() for folder in ("maps", "bpf", "tests")
             for path in (tree / folder).rglob("*") if path.is_file() and path.suffix in {".h", ".c", ".cpp", ".hpp"}}
    return [f"{path}:{line}: {rule}: {text}" for path, line, rule, text in lint.check(files) if rule in ("reasons", "reason_tested")]


def kernels_of(tree):
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(tree / "tests/kernels"))
    from matrix import archive  # pylint: disable=import-outside-toplevel
    return [kernel.name for kernel in archive.KERNELS]


def main(build):
    with tempfile.TemporaryDirectory() as copy:
        tree = Path(copy)
        for folder in ("bpf", "maps", "loader", "tests", "docs"):
            shutil.copytree(ROOT / folder, tree / folder)
        shutil.copy(ROOT / "Makefile.bpf", tree)
        if complaint := apply_pages(tree):
            return complaint
        complaints = compile_all(tree, build) + ask_rules(tree)
        names = kernels_of(tree)
        if "next" not in names or len(set(names)) != len(names):
            complaints.append(f"the kernels are {names}")
        return "\n".join(complaints) or None


if __name__ == "__main__":
    for tool in ("clang-19", "git"):
        if not shutil.which(tool):
            print(f"SKIP: {tool} is not installed")
            sys.exit(77)
    if complaint := main(Path(sys.argv[1]).resolve()):
        sys.exit(complaint)
