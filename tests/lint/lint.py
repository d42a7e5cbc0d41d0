#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weft's own rules, those that no compiler, clang-tidy or clang-format knows.

    lint.py [ROOT]        every file of the tree; prints "path:line: rule: sentence", exit status 1 if there is any

A rule is a function from a path and its text to (line, sentence) pairs, or from the whole tree to (path, line, sentence).
A line that has a good reason to break a rule says so: "lint-ok(<rule>): <the reason>" on the line or the one before.
"""
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

MAX_FILE_LINES = 600
MAX_README_LINES = 20
DATA_FOLDERS = {"fixtures", "corpus"}
MAX_COMMENT_COLUMNS = 128  # clang-format does not touch comments; code it holds to 120
GPL, DUAL, APACHE = "GPL-2.0-only", "GPL-2.0-only OR Apache-2.0", "Apache-2.0"

C_LIKE = {".c", ".h", ".hpp", ".cpp", ".proto"}
WITH_LICENCE = C_LIKE | {".py", ".sh", ".cmake", ".service", ".yml", ".yaml", ".bpf"}
WITH_LICENCE_NAMES = {"CMakeLists.txt", "Makefile.bpf", ".clang-format", ".clang-tidy", "run"}

FILE_RULES = []
TREE_RULES = []


def file_rule(function):
    FILE_RULES.append(function)
    return function


def tree_rule(function):
    TREE_RULES.append(function)
    return function


def in_folder(path, *folders):
    return PurePosixPath(path).parts[0] in folders


def suffix(path):
    return PurePosixPath(path).suffix


def without_comments(text):
    """C comments blanked out, line numbers kept; string literals stay."""
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.S)
    return pattern.sub(lambda m: m[0] if m[0].startswith('"') else re.sub(r"[^\n]", " ", m[0]), text)


def without_strings(text):
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)


def matches(pattern, text, sentence):
    for number, line in enumerate(text.splitlines(), 1):
        found = re.search(pattern, line)
        if found:
            yield number, sentence.format(found[0].strip())


@file_rule
def licence(path, text):
    """Each file opens with its SPDX line, and each folder has one licence."""
    name = PurePosixPath(path).name
    if suffix(path) not in WITH_LICENCE and name not in WITH_LICENCE_NAMES and not text.startswith("#!"):
        return
    expected = APACHE
    if in_folder(path, "bpf") or path == "Makefile.bpf":
        expected = GPL
    elif in_folder(path, "maps") and suffix(path) == ".h":
        expected = DUAL
    head = "\n".join(text.splitlines()[:2])
    found = re.search(r"SPDX-License-Identifier: (.*?)(?: \*/)?$", head, re.M)
    if not found:
        yield 1, f"no SPDX-License-Identifier in the first two lines, {expected} expected"
    elif found[1].strip() != expected:
        yield 1, f"licence {found[1].strip()} found, {expected} expected in this folder"


@file_rule
def verdict(path, text):
    """A packet leaves a program through the one door that counts it."""
    if in_folder(path, "bpf") and path != "bpf/lib/verdict.h":
        yield from matches(r"\b(TC_ACT_SHOT|XDP_DROP|XDP_ABORTED)\b", without_comments(text),
                           "{} outside bpf/lib/verdict.h: return a reason instead")


@file_rule
def bpf_define(path, text):
    """One object serves every mode: knobs are read-only data, not compiler flags."""
    if path == "Makefile.bpf":
        code = re.sub(r"(^|\s)#.*", "", text, flags=re.M)
        yield from matches(r"(?<!\S)-D\s*\w+", code, "{}: a knob belongs into struct weft_cfg")


@file_rule
def printk(path, text):
    if in_folder(path, "bpf"):
        yield from matches(r"\bbpf_(trace_)?printk\b", without_comments(text), "{}: count a reason or send an event")


@file_rule
def sleep(path, text):
    """A test waits for a condition, not for a time. (`sleep 1000` is a process to hold on to.)"""
    if not in_folder(path, "tests") or in_folder(path, "tests") and path.startswith("tests/lint/"):
        return
    if suffix(path) in C_LIKE:
        code = without_comments(text)
    elif suffix(path) in {".py", ".sh"} or text.startswith("#!"):
        code = re.sub(r"(^|\s)#.*", "", text, flags=re.M)
    else:
        return
    yield from matches(r"\b(sleep_for|sleep_until)\b|\b(u|nano)?sleep\s*\(|\bsleep[ \"',]+(\$|(\d{1,2}|\d*\.\d+)\b)", code,
                       "{}: wait for a condition (tests/support/poll.hpp)")


@file_rule
def throws(path, text):
    """Failures are values. A library's exceptions are caught at the boundary; of its memory a C library is short as `new` is."""
    if in_folder(path, "loader", "cni", "maps") and suffix(path) in {".cpp", ".hpp"}:
        yield from matches(r"\bthrow\b(?! std::bad_alloc\(\))", without_strings(without_comments(text)), "{}: return an Error")


@file_rule
def file_length(path, text):
    if suffix(path) in C_LIKE | {".py", ".sh"}:
        lines = text.count("\n")
        if lines > MAX_FILE_LINES:
            yield MAX_FILE_LINES + 1, f"{lines} lines, at most {MAX_FILE_LINES}: split it"


@file_rule
def comment_width(path, text):
    if suffix(path) not in C_LIKE:
        return
    for number, line in enumerate(text.splitlines(), 1):
        columns = len(line.expandtabs(8))
        if re.match(r"\s*(//|/\*|\*)", line) and columns > MAX_COMMENT_COLUMNS:
            yield number, f"{columns} columns, at most {MAX_COMMENT_COLUMNS} in a comment"


@file_rule
def foreign_path(path, text):
    """Nothing in the tree depends on the machine it was written on."""
    yield from matches("/work" + "/|\\.\\./" + "shared\\b", text, "{}: a path of somebody's machine")


@file_rule
def abi_includes(path, text):
    """The contract compiles for BPF and for C++, so it needs nothing but the kernel's types."""
    if path == "maps/weft_abi.h":
        for number, line in enumerate(text.splitlines(), 1):
            found = re.match(r"\s*#\s*include\s+(\S+)", line)
            if found and found[1] not in ("<linux/types.h>", '"weft_checks.h"', '"weft_encaps.h"', '"weft_reasons.h"'):
                yield number, f"includes {found[1]}; only <linux/types.h> and the lists beside it may be"


def enumerator(text, name):
    found = re.search(rf"\b{name}\s*=\s*(\d+)", text)
    return int(found[1]) if found else None


@file_rule
def reasons(path, text):
    """Reasons are numbered once, for ever, and their class is their range."""
    if path != "maps/weft_reasons.h":
        return
    first_stack, first_drop, count = (enumerator(text, name) for name in
                                      ("WEFT_R_FIRST_STACK", "WEFT_R_FIRST_DROP", "WEFT_R_COUNT"))
    if None in (first_stack, first_drop, count):
        yield 1, "WEFT_R_FIRST_STACK, WEFT_R_FIRST_DROP or WEFT_R_COUNT is not to be found"
        return
    ranges = {"FORWARD": range(1, first_stack), "STACK": range(first_stack, first_drop),
              "DROP": range(first_drop, count)}
    seen = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = re.match(r'\s*X\((\d+), (\w+), (\w+), "([^"]*)", "([^"]*)"\)', line)
        if not entry:
            continue
        code, name, verdict_class, label = int(entry[1]), entry[2], entry[3], entry[4]
        if code not in ranges.get(verdict_class, ()):
            yield number, f"{name}: {code} is not in the range of {verdict_class}"
        if not re.fullmatch(r"[a-z0-9_]+", label):
            yield number, f"{name}: label \"{label}\" is not [a-z0-9_]+"
        for what, value in (("number", code), ("name", name), ("label", label), ("text", entry[5])):
            first = seen.setdefault((what, value), number)
            if first != number:
                yield number, f"{name}: {what} {value} is already used in line {first}"


@tree_rule
def readme(files):
    """Each folder says what lives in it, briefly."""
    folders = {str(PurePosixPath(path).parent) for path in files}
    for folder in sorted(folders):
        parts = PurePosixPath(folder).parts
        if any(part.startswith(".") for part in parts) or DATA_FOLDERS & set(parts) or parts[:1] == ("docs",):
            continue
        path = str(PurePosixPath(folder) / "README.md")
        if path not in files:
            yield path, 1, "missing: what lives in this folder, what must not, where to start reading"
        elif parts and files[path].count("\n") > MAX_README_LINES:
            yield path, MAX_README_LINES + 1, f"longer than {MAX_README_LINES} lines: the rest belongs into docs/"


@tree_rule
def named_tests(files):
    """A page that names a test as its proof names one that there is."""
    tests = set()
    for path, text in files.items():
        if in_folder(path, "tests") and suffix(path) == ".cpp":
            tests |= {f"{suite}.{case}" for suite, case in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", text, re.M)}
    for number, line in enumerate(files.get("docs/security.md", "").splitlines(), 1):
        for name in re.findall(r"`([A-Z]\w+\.[A-Z]\w+)`", line):
            if name not in tests:
                yield "docs/security.md", number, f"{name}: there is no such test"


@file_rule
def raw_netlink(path, text):
    """Netlink is spoken in one place: it asks again what a dump says was interrupted, and knows what an answer means."""
    if in_folder(path, "loader", "cni") and path != "loader/net/netlink.cpp":
        yield from matches(r"\bnl_(send|recv)\w*", without_comments(text),
                           "{}: ask through loader/net/netlink.hpp")


# What only a broken kernel can bring about: the helper's failure has no cause that a test could make.
UNREACHABLE = {
    "PUSH_FAILED": "bpf_skb_adjust_room makes the room that it grew by linear",
    "REDIRECT_FAILED": "the redirect helpers refuse unknown flags only; the device is looked up after the program",
    "TUNNEL_KEY_FAILED": "bpf_skb_set_tunnel_key refuses unknown flags and sizes only",
}


def tested_words(files):
    """Every word of the tests that run programs on packets, without comments."""
    return {word for path, text in files.items()
            if path.startswith(("tests/prog_run/", "tests/datapath/", "tests/netns/", "tests/attack/"))
            and suffix(path) in C_LIKE for word in re.findall(r"\w+", without_comments(text))}


@tree_rule
def reason_tested(files):
    """A reason that no test expects may be counted wrongly, or never."""
    path = "maps/weft_reasons.h"
    words = None
    for number, line in enumerate(files.get(path, "").splitlines(), 1):
        entry = re.match(r'\s*X\(\d+, (\w+), (?:FORWARD|STACK|DROP), "([^"]*)"', line)
        if not entry or entry[1] in UNREACHABLE:
            continue
        words = words if words is not None else tested_words(files)
        if not {entry[2], "WEFT_R_" + entry[1]} & words:
            yield path, number, f"{entry[1]}: no test expects \"{entry[2]}\""


JSON_KEY = re.compile(r'\{"([a-z][a-z0-9_]*)",(?!\s*\{?")|\["([a-z][a-z0-9_]*)"\](?=\s*=)|\["[a-z_]+"\]\["([a-z][a-z0-9_]*)"\]\s*=')


@tree_rule
def json_documented(files):
    """What --json prints is a promise: a page names every field."""
    pages = " ".join(text for path, text in files.items() if re.fullmatch(r"docs/[\w-]+\.md", path))
    named = set(re.findall(r"[a-z][a-z0-9_]*", " ".join(re.findall(r"`([^`]*)`", pages))))
    named.add("error")  # the control socket's, which weftctl turns into a line on stderr
    for path, text in sorted(files.items()):
        if not (re.fullmatch(r"loader/ctl/\w+\.cpp|loader/daemon/status\.cpp", path)):
            continue
        for number, line in enumerate(without_comments(text).splitlines(), 1):
            for key in (key for found in JSON_KEY.findall(line) for key in found if key):
                if key not in named:
                    yield path, number, f"\"{key}\" is in the output, but no page of docs/ names it"


def is_allowed(rule, text, number):
    lines = text.splitlines()
    marker = re.compile(rf"lint-ok\({rule}\): \S")
    return any(0 <= i < len(lines) and marker.search(lines[i]) for i in (number - 1, number - 2))


def check(files):
    """Findings (path, line, rule, sentence) of a tree given as {path: text}."""
    findings = []
    for path, text in sorted(files.items()):
        for rule in FILE_RULES:
            findings += [(path, number, rule.__name__, sentence) for number, sentence in rule(path, text)
                         if not is_allowed(rule.__name__, text, number)]
    for rule in TREE_RULES:
        findings += [(path, number, rule.__name__, sentence) for path, number, sentence in rule(files)
                     if not is_allowed(rule.__name__, files.get(path, ""), number)]
    return findings


def list_files(root):
    """What git tracks or would track; without git (a tarball) everything but build directories."""
    git = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
                          "--exclude-standard"], cwd=root, capture_output=True, check=False)
    if git.returncode == 0:
        return sorted(set(git.stdout.decode().split("\0")) - {""})
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git" and not name.startswith("build")]
        found += [str((Path(folder) / name).relative_to(root)) for name in names]
    return sorted(found)


def read_tree(root):
    files = {}
    for path in list_files(root):
        data = (root / path).read_bytes() if (root / path).is_file() else b""
        if data and b"\0" not in data:  # a binary (a capture) has no rules
            files[path] = data.decode(errors="replace")
    return files


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    files = read_tree(root)
    findings = check(files)
    for path, number, rule, sentence in findings:
        print(f"{path}:{number}: {rule}: {sentence}")
    print(f"{len(files)} files, {len(FILE_RULES) + len(TREE_RULES)} rules, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
