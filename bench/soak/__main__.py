# SPDX-License-Identifier: Apache-2.0
"""Runs the soak that the command line asks for; run.sh is the way in."""
import argparse
import random
import shlex
import sys
import time
from pathlib import Path

from suite import results, tools
from suite.lab import BenchError, Lab, NotHere, handle_endings, run
from suite.machine import Watch

from . import judge, report
from .faults import FAULTS
from .world import World

SKIPPED = 77
QUIET_S = 1.0  # before the first fault, and between two: whose loss it was must be clear
BACKLOG = "net.core.netdev_max_backlog"


def parse():
    parser = argparse.ArgumentParser(prog="bench/soak/run.sh",
                                     description="Traffic whose every byte is checked while faults come at random. Exit "
                                                 "status 1: something was corrupted, lost where nothing may be, or not "
                                                 "put right.")
    parser.add_argument("--seconds", type=float, default=600, help="how long; each kind of fault comes at least once (600)")
    parser.add_argument("--short", action="store_true",
                        help="only as long as asked for, be every kind seen or not")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random (another one each time)")
    parser.add_argument("--faults", type=lambda text: tuple(text.split(",")), default=(), metavar="A,B",
                        help=f"only these: {', '.join(FAULTS)}")
    parser.add_argument("--out", type=Path, metavar="STEM", help="STEM.json and STEM.md")
    parser.add_argument("--build-dir", default=tools.ROOT / "build")
    parser.add_argument("--other-build", metavar="DIR", help="another build directory: weftd-upgrade goes there and back")
    return parser.parse_args()


def say(line):
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def chosen(options):
    unknown = [name for name in options.faults if name not in FAULTS]
    if unknown:
        raise BenchError(f"\"{unknown[0]}\" is none of {', '.join(FAULTS)}")
    return [fault for fault in FAULTS.values() if not options.faults or fault.name in options.faults]


def dealt(faults, rng):
    """For ever, in random order; every kind once before any comes again."""
    while True:
        yield from rng.sample(faults, len(faults))


def strike(world, fault, rng):
    episode = judge.Episode(fault.name, time.monotonic_ns())
    try:
        episode.hit = fault.harm(world, rng)
        episode.end = time.monotonic_ns()
        world.wait_reachable()
    except BenchError as error:
        episode.wrong.append(str(error))
        episode.end = time.monotonic_ns()
    say(f"{fault.name} {episode.hit}: {(episode.end - episode.begin) / 1e9:.1f} s{'; WRONG' if episode.wrong else ''}")
    return episode


def soak(world, options, rng):
    """@return the episodes, the first of which is the time before any fault"""
    faults = chosen(options)
    episodes = [judge.Episode(judge.QUIET, time.monotonic_ns())]
    world.start_traffic()
    episodes[0].end = time.monotonic_ns()
    say(f"{len(world.flows)} flows are up")
    deadline = time.monotonic() + options.seconds
    for count, fault in enumerate(dealt(faults, rng)):
        all_seen = options.short or count >= len(faults)
        if all_seen and time.monotonic() > deadline:
            break
        time.sleep(QUIET_S)
        episodes.append(strike(world, fault, rng))
    time.sleep(QUIET_S)
    return episodes


def measure(options):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    say(f"seed {seed}")
    builds = [tools.binary, *([tools.other_binary] if options.other_build else [])]
    found = results.head("sudo bench/soak/run.sh " + shlex.join(sys.argv[1:])) | {"seed": seed}
    with Lab() as lab, Watch() as watch:
        world = World(lab, builds)
        episodes = soak(world, options, random.Random(seed))
        ended = time.monotonic_ns()
        for flow in world.flows:
            flow.ask_to_end()
        accounts = {flow: flow.account() for flow in world.flows}
    judge.attribute(episodes, accounts, ended)
    return found | {"seconds": (ended - episodes[0].begin) / 1e9, "others_cpu": watch.others,
                    "flows": {flow.name: {"sent": told.sent, "answered": told.answered, "corrupt": len(told.corrupt),
                                          "broken": len(told.broken)} for flow, told in accounts.items()},
                    "episodes": judge.rows(episodes)}


def run_soak(options):
    tools.set_builds(options.build_dir, options.other_build)
    tools.require()
    # Bursts of a machine that all share must not be taken for the network's losses.
    backlog = run("sysctl", "-n", BACKLOG).strip()
    run("sysctl", "-qw", f"{BACKLOG}=20000")
    try:
        found = measure(options)
    finally:
        run("sysctl", "-qw", f"{BACKLOG}={backlog}")
    text = report.document(found)
    print(text)
    if options.out:
        results.write(found, options.out)
        options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    return report.wrongs(found)


def main():
    options = parse()
    handle_endings()
    try:
        if wrongs := run_soak(options):
            sys.exit(f"soak: {len(wrongs)} things went wrong; the first: {wrongs[0]}")
    except NotHere as reason:
        if options.short:  # it is run as a test, which counts what it skips
            print(f"SKIP: {reason}")
            sys.exit(SKIPPED)
        sys.exit(f"soak: {reason}")
    except BenchError as error:
        sys.exit(f"soak: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
