#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does what docs/adding-an-encapsulation.md says to a copy of the programs, and compiles them: the page must stay true.

    encap_example.py [ROOT]
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = "docs/adding-an-encapsulation.md"
LIST_END = re.compile(r"(\n\tX\([^\n]*?\))(\n\n#define WEFT_ENCAP_ENUM)")


def blocks(page):
    """The page's code blocks, by the comment before each, which says where it goes."""
    return dict(re.findall(r"<!-- (.*?) -->\n```c\n(.*?)```\n", page, re.S))


def apply(root, where, code):
    """One step of the page. Only the files named in it may be touched: that is what the page promises."""
    path = root / where.split()[-1]
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


def compile_programs(root):
    return subprocess.run(["make", "-f", root / "Makefile.bpf", f"SRC={root}", f"OUT={root}/out"], capture_output=True,
                          text=True)


def main(root):
    steps = blocks((root / PAGE).read_text())
    if len(steps) != 3:
        return f"{PAGE}: {len(steps)} steps found, 3 expected"
    with tempfile.TemporaryDirectory() as copy:
        copy = Path(copy)
        for folder in ("bpf", "maps"):
            shutil.copytree(root / folder, copy / folder)
        shutil.copy(root / "Makefile.bpf", copy)
        for where, code in steps.items():
            apply(copy, where, code)
        made = compile_programs(copy)
        if made.returncode:
            return f"{PAGE} does not compile:\n{made.stderr}"
    return None


if __name__ == "__main__":
    if not shutil.which("clang-19"):
        print("SKIP: clang-19 is not installed")
        sys.exit(77)
    complaint = main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    if complaint:
        sys.exit(complaint)
