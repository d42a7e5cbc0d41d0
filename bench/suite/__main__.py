# SPDX-License-Identifier: Apache-2.0
"""Runs what the command line asks for; run.sh is the way in."""
import argparse
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import charts, control, programs, readme, results, table, tools
from .contenders import CONTENDERS, stand_up
from .lab import BenchError, Lab, NotHere, handle_endings
from .measurements import MEASUREMENTS
from .scheduler import Plan
from .weft import Etcd
from .wires import WIRES

SKIPPED = 77
STAGES = ("paths", "traffic", "control", "cni")


@dataclass(frozen=True)
class Size:
    """How much of everything."""
    rounds: int
    seconds: float
    contenders: tuple
    wires: tuple
    leases: tuple
    pods: tuple
    puts: int
    cni_pods: int
    discard: bool


SHORT = ("host", "flannel", "weft")
ALL = tuple(name for name in CONTENDERS if name != "weft-other")
SIZES = {
    "full": Size(rounds=7, seconds=1.0, contenders=ALL, wires=tuple(WIRES),
                 leases=(10, 100, 1000, 10_000, 100_000), pods=(100, 1000), puts=20, cni_pods=50, discard=True),
    "quick": Size(rounds=3, seconds=0.3, contenders=(*SHORT, "flannel-host-gw", "weft-host-gw"),
                  wires=("offload", "framed"), leases=(100, 10_000), pods=(), puts=5, cni_pods=20, discard=False),
    "smoke": Size(rounds=1, seconds=0.1, contenders=SHORT, wires=("framed",), leases=(20,), pods=(20,), puts=2,
                  cni_pods=3, discard=False),
}
# Longer frames are about bytes: whoever is short of time learns nothing from the rest there.
LONG_FRAMES = ("host", "flannel", "weft")


def parse():
    parser = argparse.ArgumentParser(prog="bench/run.sh",
                                     description="Measures weft beside flannel's data path, and writes results.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", default="full",
                      help="under five minutes; disturbed rounds count; prints, and writes only with --out")
    size.add_argument("--smoke", dest="size", action="store_const", const="smoke", help="only to see that it works")

    def names(option, known, what):
        parser.add_argument(f"--{option}", type=lambda text: tuple(text.split(",")), metavar="A,B",
                            help=f"{what}: {', '.join(known)}")
    names("only", STAGES, "parts")
    names("contenders", CONTENDERS, "who is measured")
    names("wires", WIRES, "between nodes")
    names("measurements", MEASUREMENTS, "what is measured")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--keep-disturbed", action="store_true", help="rounds count whatever others did meanwhile")
    parser.add_argument("--out", type=Path, metavar="STEM",
                        help="STEM.json, STEM.md and charts (bench/results/<date>-<commit>)")
    parser.add_argument("--readme", type=Path, metavar="JSON",
                        help="measures nothing: puts what that run found into README.md")
    parser.add_argument("--build-dir", default=tools.ROOT / "build")
    parser.add_argument("--other-build", metavar="DIR",
                        help="another build directory: its weft takes part, and is compared with this one's")
    return parser.parse_args()


def chosen(names, known, default):
    for name in names or ():
        if name not in known:
            raise BenchError(f"\"{name}\" is none of {', '.join(known)}")
    return [known[name] for name in known if name in (names or default)]


def say(line):
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def measure_paths(lab, etcd, size, options, found):
    """Every contender on every wire; the paths stand side by side from first to last."""
    other = ("weft-other",) if options.other_build else ()
    contenders = chosen(options.contenders, CONTENDERS, size.contenders + other)
    wires = chosen(options.wires, WIRES, size.wires)
    measurements = chosen(options.measurements, MEASUREMENTS, MEASUREMENTS)
    paths = {}
    for wire in wires:
        for contender in contenders:
            used = not contender.wires or wire.name in contender.wires
            if used and (contender.name, wire.mtu) not in paths and (wire.mtu == 1500 or contender.name in LONG_FRAMES):
                paths[contender.name, wire.mtu] = stand_up(lab, etcd, contender, wire.mtu)
    say(f"{len(paths)} pairs of nodes are up")
    plan = Plan(options.rounds or size.rounds, options.seconds or size.seconds,
                size.discard and not options.keep_disturbed)
    found["paths"] = results.of_samples(plan.run(paths, contenders, wires, measurements, say), plan)


def measure_traffic(lab, etcd, size, options, found):
    """What the programs cost under small packets, one by one."""
    contender, wire = CONTENDERS["weft"], WIRES["framed"]
    path = stand_up(lab, etcd, contender, 1400)  # not a path of the measurements above: it counts while they do not
    path.pair.set_wire(wire)
    found["traffic"] = programs.under_traffic(
        path, lambda: MEASUREMENTS["udp-64"].run(contender, path, options.seconds or size.seconds))


def run(options):
    size = SIZES[options.size]
    tools.set_builds(options.build_dir, options.other_build)
    tools.require()
    stages = options.only or STAGES
    for stage in stages:
        if stage not in STAGES:
            raise BenchError(f"\"{stage}\" is none of {', '.join(STAGES)}")
    found = results.head("sudo bench/run.sh " + shlex.join(sys.argv[1:]))
    if "cni" in stages:
        found["cni"] = control.cni(size.cni_pods * 4, size.cni_pods)
        say("CNI done")
    with Lab() as lab:
        etcd = Etcd(lab)
        if "control" in stages:
            found["control"], found["programs"] = control.measure(lab, etcd, size.leases, size.pods, size.puts, say)
        if "traffic" in stages:
            measure_traffic(lab, etcd, size, options, found)
        if "paths" in stages:
            measure_paths(lab, etcd, size, options, found)
    print(table.summary(found))
    if options.out or options.size == "full":
        stem = options.out or tools.ROOT / "bench" / "results" / f"{found['date']}-{found['commit']}"
        found = results.joined(found, stem)
        results.write(found, stem)
        stem.with_suffix(".md").write_text(table.document(found), encoding="utf-8")
        charts.write(found, stem)
        say(f"every value is in {stem}.json")


def main():
    options = parse()
    if options.readme:
        readme.refresh(options.readme)
        return
    handle_endings()
    try:
        run(options)
    except NotHere as reason:
        if options.size == "smoke":  # it is run as a test, which counts what it skips
            print(f"SKIP: {reason}")
            sys.exit(SKIPPED)
        sys.exit(f"bench: {reason}")
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
