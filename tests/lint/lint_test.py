#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of lint.py finds what it is for, and keeps quiet about what only looks like it."""
import tempfile
import unittest
from pathlib import Path

import lint

APACHE = "// SPDX-License-Identifier: Apache-2.0\n"
GPL = "// SPDX-License-Identifier: GPL-2.0-only\n"
DUAL = "/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */\n"


def findings(path, text, rule):
    """Lines in which the rule finds something in a tree of this one file."""
    return [number for _, number, name, _ in lint.check({path: text}) if name == rule]


class Licence(unittest.TestCase):
    def test_each_folder_has_its_own(self):
        for path, text in (("loader/a.cpp", APACHE), ("bpf/a.bpf.c", GPL), ("bpf/lib/a.h", GPL), ("maps/a.h", DUAL),
                           ("maps/a.hpp", APACHE), ("Makefile.bpf", "# SPDX-License-Identifier: GPL-2.0-only\n"),
                           ("scripts/a.sh", "#!/bin/bash\n# SPDX-License-Identifier: Apache-2.0\n")):
            self.assertEqual(findings(path, text, "licence"), [], path)

    def test_a_wrong_or_missing_one_is_found(self):
        for path, text in (("loader/a.cpp", GPL), ("bpf/a.bpf.c", APACHE), ("maps/a.h", GPL), ("cni/a.cpp", "int a;\n"),
                           ("scripts/tool", "#!/bin/bash\n"), ("tests/CMakeLists.txt", "add_test()\n")):
            self.assertEqual(findings(path, text, "licence"), [1], path)

    def test_prose_and_data_need_none(self):
        for path in ("README.md", "tests/x/fixtures/a.json", "deploy/10-weft.conflist", ".gitignore"):
            self.assertEqual(findings(path, "text\n", "licence"), [], path)


class Bpf(unittest.TestCase):
    def test_a_drop_outside_the_door_is_found(self):
        self.assertEqual(findings("bpf/a.bpf.c", GPL + "\treturn TC_ACT_SHOT;\n", "verdict"), [2])
        self.assertEqual(findings("bpf/lib/a.h", GPL + "\treturn XDP_DROP;\n", "verdict"), [2])

    def test_the_door_comments_and_tests_may_name_it(self):
        self.assertEqual(findings("bpf/lib/verdict.h", GPL + "\treturn TC_ACT_SHOT;\n", "verdict"), [])
        self.assertEqual(findings("bpf/a.bpf.c", GPL + "/* not TC_ACT_SHOT,\n * nor XDP_DROP */\n", "verdict"), [])
        self.assertEqual(findings("tests/prog_run/a.cpp", APACHE + "EXPECT_EQ(r, TC_ACT_SHOT);\n", "verdict"), [])

    def test_compiler_defines_are_found_in_the_makefile_only(self):
        self.assertEqual(findings("Makefile.bpf", "CFLAGS := -O2 -DWEFT_FAST=1 -g\n", "bpf_define"), [1])
        self.assertEqual(findings("Makefile.bpf", "CFLAGS := -O2 -idirafter x # no -DX\n", "bpf_define"), [])
        self.assertEqual(findings("CMakeLists.txt", "cmake -DCMAKE_BUILD_TYPE=x\n", "bpf_define"), [])

    def test_printk_is_found(self):
        self.assertEqual(findings("bpf/a.bpf.c", GPL + 'bpf_printk("here");\n', "printk"), [2])
        self.assertEqual(findings("bpf/a.bpf.c", GPL + "// no bpf_printk here\n", "printk"), [])


class Sleep(unittest.TestCase):
    def test_waiting_for_a_time_is_found_in_any_language(self):
        for path, line in (("tests/a.cpp", "std::this_thread::sleep_for(1s);"), ("tests/a.cpp", "usleep(5);"),
                           ("tests/a.cpp", 'run("sleep 1 && ping");'), ("tests/a.cpp", 'run({"sleep", "1"});'),
                           ("tests/a.sh", "sleep 0.5"), ("tests/a.sh", "sleep $pause"), ("tests/a.py", "time.sleep(1)")):
            self.assertEqual(findings(path, line + "\n", "sleep"), [1], line)

    def test_holding_on_for_ever_and_prose_are_not(self):
        for line in ('spawn({"sleep", "infinity"});', 'spawn("sleep 1000");', "// sleep 1 would be wrong", "wait_until(asleep);"):
            self.assertEqual(findings("tests/a.cpp", line + "\n", "sleep"), [], line)
        self.assertEqual(findings("loader/a.cpp", "sleep_for(1s);\n", "sleep"), [])

    def test_a_reason_allows_it(self):
        text = "// lint-ok(sleep): the one place that polls\nsleep_for(1ms);\nsleep_for(1ms);\n"
        self.assertEqual(findings("tests/a.cpp", text, "sleep"), [3])
        self.assertEqual(findings("tests/a.cpp", "sleep_for(1ms); // lint-ok(sleep):\n", "sleep"), [1])


class Code(unittest.TestCase):
    def test_throw_is_found_in_our_code_not_in_prose(self):
        self.assertEqual(findings("loader/a.cpp", "throw 1;\n", "throws"), [1])
        self.assertEqual(findings("loader/a.cpp", '// may throw\nlog("throw");\n', "throws"), [])
        self.assertEqual(findings("loader/a.cpp", "if (!p) throw std::bad_alloc();\n", "throws"), [])
        self.assertEqual(findings("tests/a.cpp", "throw 1;\n", "throws"), [])

    def test_a_file_has_at_most_600_lines(self):
        self.assertEqual(findings("loader/a.cpp", "\n" * 600, "file_length"), [])
        self.assertEqual(findings("loader/a.cpp", "\n" * 601, "file_length"), [601])
        self.assertEqual(findings("docs/a.md", "\n" * 601, "file_length"), [])

    def test_a_wide_comment_is_found(self):
        self.assertEqual(findings("bpf/a.h", "/* " + "x" * 126 + "\n", "comment_width"), [1])
        self.assertEqual(findings("bpf/a.h", "\t/* " + "x" * 118 + "\n", "comment_width"), [1])
        self.assertEqual(findings("bpf/a.h", "int " + "x" * 140 + ";\n", "comment_width"), [])

    def test_somebodys_paths_are_found(self):
        self.assertEqual(findings("docs/a.md", "see ../" + "shared/x\n", "foreign_path"), [1])
        self.assertEqual(findings("scripts/a.sh", "cd /work" + "/main\n", "foreign_path"), [1])
        self.assertEqual(findings("docs/a.md", "a shared/wire, /workshop\n", "foreign_path"), [])


class Contract(unittest.TestCase):
    TAIL = "WEFT_R_COUNT = 200,\nWEFT_R_FIRST_STACK = 40,\nWEFT_R_FIRST_DROP = 120,\n"

    def reasons(self, *entries):
        lines = [f'\tX({number}, {name}, {verdict}, "{label}", "{text}") \\'
                 for number, name, verdict, label, text in entries]
        return findings("maps/weft_reasons.h", "\n".join(lines) + "\n" + self.TAIL, "reasons")

    def test_a_good_list_passes(self):
        self.assertEqual(self.reasons((1, "A", "FORWARD", "a", "x"), (40, "B", "STACK", "b", "y"),
                                      (199, "C", "DROP", "c", "z")), [])

    def test_a_number_outside_the_range_of_its_class_is_found(self):
        self.assertEqual(self.reasons((40, "A", "FORWARD", "a", "x"), (120, "B", "STACK", "b", "y"),
                                      (200, "C", "DROP", "c", "z"), (0, "D", "FORWARD", "d", "w")), [1, 2, 3, 4])

    def test_anything_used_twice_is_found(self):
        first = (1, "A", "FORWARD", "a", "x")
        for second in ((1, "B", "FORWARD", "b", "y"), (2, "A", "FORWARD", "b", "y"), (2, "B", "FORWARD", "a", "y"),
                       (2, "B", "FORWARD", "b", "x")):
            self.assertEqual(self.reasons(first, second), [2], second)

    def test_a_label_that_is_no_metric_name_is_found(self):
        self.assertEqual(self.reasons((1, "A", "FORWARD", "To Pod", "x")), [1])

    def test_the_abi_includes_nothing_else(self):
        good = '#include <linux/types.h>\n#include "weft_encaps.h"\n#include "weft_reasons.h"\n'
        self.assertEqual(findings("maps/weft_abi.h", good, "abi_includes"), [])
        self.assertEqual(findings("maps/weft_abi.h", good + "#include <stdint.h>\n", "abi_includes"), [4])


class Promises(unittest.TestCase):
    REASONS = '\tX(1, TO_POD, FORWARD, "to_pod", "x") \\\n\tX(130, PUSH_FAILED, DROP, "push_failed", "y")\n'

    @staticmethod
    def found(files, rule):
        return [(path, number) for path, number, name, _ in lint.check(files) if name == rule]

    def test_a_reason_that_no_test_expects_is_found(self):
        files = {"maps/weft_reasons.h": self.REASONS, "tests/prog_run/a.cpp": "// to_pod is not tested\n"}
        self.assertEqual(self.found(files, "reason_tested"), [("maps/weft_reasons.h", 1)])

    def test_a_reason_is_tested_by_its_label_or_its_number(self):
        for line in ('{"a sentence", packet, "to_pod"},\n', "EXPECT_EQ(counted, WEFT_R_TO_POD);\n"):
            files = {"maps/weft_reasons.h": self.REASONS, "tests/netns/a.cpp": line}
            self.assertEqual(self.found(files, "reason_tested"), [], line)

    def test_a_field_that_no_page_names_is_found(self):
        code = 'Json row{{"subnet", 1}, {"ifindex", 2}};\nstatus["lost"] = why;\nTable table({{"SUBNET"}});\n'
        files = {"loader/ctl/a.cpp": code, "docs/weftctl.md": "An array: `subnet`, ifindex.\n"}
        self.assertEqual(self.found(files, "json_documented"), [("loader/ctl/a.cpp", 1), ("loader/ctl/a.cpp", 2)])
        files["docs/weftctl.md"] = "`subnet`, `ifindex`; `lost`: why\n"
        self.assertEqual(self.found(files, "json_documented"), [])

    def test_netlink_beside_its_one_place_is_found(self):
        self.assertEqual(findings("loader/net/route.cpp", "nl_send_auto(sock, msg);\n", "raw_netlink"), [1])
        self.assertEqual(findings("cni/a.cpp", "nl_recvmsgs(sock, callbacks);\n", "raw_netlink"), [1])
        self.assertEqual(findings("loader/net/netlink.cpp", "nl_send_auto(sock, msg);\n", "raw_netlink"), [])


class Readme(unittest.TestCase):
    @staticmethod
    def missing(files):
        return [path for path, _, name, _ in lint.check(files) if name == "readme"]

    def test_each_folder_with_files_has_one(self):
        files = {"README.md": "weft\n", "loader/a.cpp": APACHE, "loader/README.md": "x\n", "cni/a.cpp": APACHE}
        self.assertEqual(self.missing(files), ["cni/README.md"])

    def test_hidden_folders_data_and_docs_need_none(self):
        files = {"README.md": "weft\n", ".ci/run": "", "tests/README.md": "x\n", "tests/fixtures/a/b.json": "{}",
                 "tests/fuzz/corpus/a/0815": "{", "tests/fuzz/README.md": "x\n", "docs/adr/0001.md": "x\n"}
        self.assertEqual(self.missing(files), [])

    def test_it_is_short_except_the_trees_own(self):
        files = {"README.md": "\n" * 100, "cni/README.md": "\n" * 21}
        self.assertEqual(self.missing(files), ["cni/README.md"])


class NamedTests(unittest.TestCase):
    @staticmethod
    def missing(page):
        files = {"docs/security.md": page, "tests/a/a_test.cpp": APACHE + "TEST_P(Suite, Case) {}\nTEST(Other,\n     Long) {}\n"}
        return [number for _, number, name, _ in lint.check(files) if name == "named_tests"]

    def test_a_test_that_is_there_may_be_named(self):
        self.assertEqual(self.missing("`Suite.Case` and `Other.Long`, see `a.hpp`, `SECURITY.md`\n"), [])

    def test_one_that_is_not_is_found(self):
        self.assertEqual(self.missing("`Suite.Case`\n`Suite.Gone`\n"), [2])


class Tree(unittest.TestCase):
    def test_a_tree_without_git_is_read_without_its_build_directories(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "build-x").mkdir()
            (root / "build-x" / "a.cpp").write_text("int a;\n")
            (root / "b.cpp").write_text(APACHE)
            (root / "capture.pcap").write_bytes(b"\xd4\xc3\0\0")
            self.assertEqual(list(lint.read_tree(root)), ["b.cpp"])


if __name__ == "__main__":
    unittest.main()
