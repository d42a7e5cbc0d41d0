# SPDX-License-Identifier: Apache-2.0
"""What a guest runs: test programs of this build, each a column of the table."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A GoogleTest program, and which of its cases."""
    name: str
    program: str  # below the build folder
    cases: str = "*"
    timeout_s: int = 120
    short: bool = False  # also part of the short form
    short_cases: str = ""  # in the short form only these
    title: str = ""
    needs: tuple = ()  # further executables of this build
    env: str = ""  # NAME=value

    def line(self, build, short, only):
        """For the guest's init: name, time limit, command."""
        cases = only or (self.short_cases if short and self.short_cases else self.cases)
        return f"{self.name}|{self.timeout_s}|{self.env} {build / self.program} --gtest_brief=1 --gtest_filter='{cases}'"


NODE = ("bin/weftd", "bin/weftctl", "bin/weft", "tests/weft_traffic", "tests/weft_steady", "tests/weft_flood")

SUITES = (
    Suite("load", "tests/load_test", short=True, title="programs load"),
    Suite("tables", "tests/prog_run_test", short=True, title="tables of packets"),
    Suite("uplinks", "tests/uplinks_test", timeout_s=600, short=True, short_cases="*Uplinks*veth_xdp", needs=NODE,
          title="two nodes"),
    Suite("attack", "tests/pod_attack_test", cases="*PodAttack.ReachesNobody*", timeout_s=300,
          title="forged packets of a pod", needs=(*NODE, "tests/weft_attack"), env="WEFT_POD_DEVICE=netkit"),
)
