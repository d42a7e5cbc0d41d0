#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang for BPF that makes every conditional jump leave a trace: CLANG=counting_clang.py make -f Makefile.bpf.

Coverage of BPF has no compiler flag, and a build for the host would cover another program than the one that the kernel runs.
So each jump of the assembly gets two words in a map: one is set when it is taken, one when it is not. The map is .data.branches
of the object; which words belong to which line of source is written beside it, as OBJECT.sites.json.

The word is set by means of the register that the jump looks at, which is saved in a slot of the stack below what the function
uses: at a jump it is the one register that certainly holds something.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CLANG = os.environ.get("WEFT_CLANG", "clang-19")
MAP = ".data.branches"
MAX_WORDS = 8192
STACK_USE = re.compile(r"\(r10 - (\d+)\)|^\s*r\d \+= -(\d+)$")  # in place, or by an address
JUMP = re.compile(r"\s*if ([rw])(\d) (s?[<>]=?|[!=]=|&) (\S+) goto (\S+)")
ZERO_EXTENDED = re.compile(r"^(\s*)r(\d) = w(\d)$")  # as LLVM 19 prints the 32-bit move, and does not read it
INVERSE = {"!=": "==", ">=": "<", "s>=": "s<", "<=": ">", "s<=": "s>"}


def free_slots(lines):
    """Of each line, the first slot of the stack that its function does not use. The frames of a chain of calls share 512 bytes."""
    slots, begin, deepest = [], 0, 0
    for number, line in enumerate(lines):
        for used in STACK_USE.findall(line):
            deepest = max(deepest, int(used[0] or used[1])) if int(used[0] or used[1]) <= 512 else deepest
        if line.startswith(".Lfunc_end") or number == len(lines) - 1:
            slots += [deepest // 8 * 8 + (16 if deepest % 8 else 8)] * (number + 1 - begin)
            begin, deepest = number + 1, 0
    return slots


def mark(register, word, slot):
    """Sets a word of the map to something that is not zero."""
    slot = f"*(u64 *)(r10 - {slot})"
    return [f"\t{slot} = r{register}", f"\tr{register} = weft_branches ll",
            f"\t*(u64 *)(r{register} + {8 * word}) = r{register}", f"\tr{register} = {slot}"]


def instrument(lines):
    """@return the lines with a trace, and of each jump its place, what it asks, and whether jumping means "no"."""
    files, out, sites, place = {}, [], [], None
    for line, slot in zip(lines, free_slots(lines)):
        entry = re.match(r'\s*\.file\s+(\d+) "([^"]*)"(?: "([^"]*)")?', line)
        if entry:
            files[entry[1]] = os.path.join(entry[2], entry[3]) if entry[3] else entry[2]
        entry = re.match(r"\s*\.loc\s+(\d+) (\d+) (\d+)", line)
        if entry and entry[2] != "0":
            place = (files.get(entry[1], "?"), int(entry[2]), int(entry[3]))
        line = ZERO_EXTENDED.sub(r"\1w\2 = w\3", line)
        jump = JUMP.match(line)
        if not jump:
            out.append(line)
            continue
        register, operator, operand = jump[2], jump[3], jump[4]
        number = len(sites)
        asked = INVERSE.get(operator, operator) + (" " + operand if operand.lstrip("-").isdigit() else "")
        sites.append({"place": place, "asked": asked, "inverted": operator in INVERSE})
        out += [line.replace(jump[5], f"LTaken{number}"), *mark(register, 2 * number + 1, slot), f"\tgoto LNot{number}",
                f"LTaken{number}:", *mark(register, 2 * number, slot), f"\tgoto {jump[5]}", f"LNot{number}:"]
    if 2 * len(sites) > MAX_WORDS:
        sys.exit(f"counting_clang.py: {len(sites)} jumps, the map has room for {MAX_WORDS // 2}")
    return out, sites


def clang(arguments):
    subprocess.run([CLANG, *arguments], check=True)


def main(arguments):
    if "-c" not in arguments:
        clang(arguments)
        return
    source = arguments[arguments.index("-c") + 1]
    target = arguments[arguments.index("-o") + 1]
    flags = [a for a in arguments if a not in ("-c", source, "-o", target)]
    with tempfile.TemporaryDirectory() as folder:
        wrapped, plain, traced, rules = (os.path.join(folder, name) for name in ("a.c", "a.s", "b.s", "a.d"))
        Path(wrapped).write_text(f'#include "{os.path.abspath(source)}"\n'
                                 f'__u64 weft_branches[{MAX_WORDS}] SEC("{MAP}");\n')
        clang([*flags, "-MF", rules, "-MT", target, "-S", wrapped, "-o", plain])
        lines, sites = instrument(Path(plain).read_text().splitlines())
        Path(traced).write_text("\n".join(lines) + "\n")
        clang(["-target", "bpf", "-mcpu=v3", "-c", traced, "-o", target])
        made_of = Path(rules).read_text().replace(wrapped, source).replace(f"\n{source}:\n", "\n")
        Path(target.removesuffix(".o") + ".d").write_text(made_of)
    Path(target + ".sites.json").write_text(json.dumps(sites))


if __name__ == "__main__":
    main(sys.argv[1:])
