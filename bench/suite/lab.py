# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and processes of one run, all of which go with it."""
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

PREFIX = "weft-bench"
STATE = Path("/run") / PREFIX
BPF = Path("/sys/fs/bpf") / PREFIX
CLIENT_CPU, SERVER_CPU = 0, 1


class BenchError(Exception):
    """A sentence for whoever runs the benchmark."""


class NotHere(BenchError):
    """This machine lacks something that the benchmark needs."""


def run(*argv, stdin=None, env=None, check=True):
    """A command to its end. @return stdout"""
    done = subprocess.run([str(word) for word in argv], input=stdin, capture_output=True, text=True, check=False,
                          env=None if env is None else os.environ | env)
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise BenchError(f"{' '.join(map(str, argv))}: exit {done.returncode}: {said}")
    return done.stdout


def wait_until(condition, what, timeout=20.0, interval=0.02):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"timed out: {what}")
        time.sleep(interval)


def handle_endings():
    """Whoever ends the run, nothing of it may stay."""
    def interrupt(*_):
        raise KeyboardInterrupt
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


class Namespace:
    """A network namespace. Only the network: /sys and the BPF filesystem in it stay the machine's."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = f"{PREFIX}-{name}"
        self.path = f"/run/netns/{self.name}"
        run("ip", "netns", "add", self.name)
        self.ip("link set lo up")

    def _enter(self, argv, cpu):
        pinned = () if cpu is None else ("taskset", "-c", cpu)
        return ("nsenter", f"--net={self.path}", *pinned, *argv)

    def run(self, *argv, cpu=None, **options):
        return run(*self._enter(argv, cpu), **options)

    def spawn(self, *argv, cpu=None, **options):
        return self.lab.spawn(*self._enter(argv, cpu), **options)

    def ip(self, batch):
        """`ip` commands, one a line, without the word."""
        run("ip", "-n", self.name, "-batch", "-", stdin=batch)

    def sysctl(self, **values):
        """Names with "__" for a dot."""
        self.run("sysctl", "-qw", *(f"{name.replace('__', '.')}={value}" for name, value in values.items()))

    def receive_on(self, device, cpu):
        """What comes in is taken from the device on that CPU, before any program there has its turn; None: on whichever."""
        before = _receivers(device)
        run("ip", "netns", "exec", self.name, "sh", "-c", f"echo {int(cpu is not None)} > /sys/class/net/{device}/threaded",
            check=cpu is not None)  # without GRO there is nothing to switch
        for thread in _receivers(device) - before:
            run("taskset", "--pid", "--cpu-list", cpu, thread)
            run("chrt", "--fifo", "--pid", 1, thread)

    def steer_to(self, cpu):
        """What comes in by any veth without GRO is dealt with on that CPU; None: on the one that sends it."""
        for veth in json.loads(run("ip", "-n", self.name, "-json", "link", "show", "type", "veth")):
            run("ip", "netns", "exec", self.name, "sh", "-c",
                f"echo {0 if cpu is None else 1 << cpu} > /sys/class/net/{veth['ifname']}/queues/rx-0/rps_cpus")

    def link(self, device):
        return json.loads(run("ip", "-n", self.name, "-json", "link", "show", device))[0]


def _receivers(device):
    """The kernel's threads that take packets from devices of that name."""
    found = set()
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text(encoding="utf-8").startswith(f"napi/{device}-"):
                found.add(comm.parent.name)
        except OSError:
            pass  # it has ended
    return found


class Lab:
    """Owns everything that a run makes. Removes what an earlier one, killed, has left."""

    def __init__(self):
        self._lock = open(f"/run/{PREFIX}.lock", "w", encoding="ascii")
        wait_until(self._alone, "another run is under way", timeout=120, interval=0.5)
        self._processes = []
        self.clean_up()
        STATE.mkdir(parents=True)
        BPF.mkdir()

    def _alone(self):
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clean_up()

    def namespace(self, name):
        return Namespace(self, name)

    def spawn(self, *argv, log="discarded.log", env=None):
        """A process in the background; its output goes to that file of STATE."""
        with open(STATE / log, "ab") as out:
            process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True,
                                       env=None if env is None else os.environ | env)
        self._processes.append(process)
        return process

    def stop(self, process, how=signal.SIGKILL):
        """Ends a process and waits for it."""
        if process.poll() is None:
            process.send_signal(how)
        process.wait()
        if process in self._processes:
            self._processes.remove(process)

    def remove(self, namespaces):
        """Namespaces whose processes have been stopped."""
        for namespace in namespaces:
            run("ip", "netns", "delete", namespace.name)

    def clean_up(self):
        for process in list(self._processes):
            self.stop(process)
        for path in Path("/run/netns").glob(f"{PREFIX}-*"):
            for pid in run("ip", "netns", "pids", path.name, check=False).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            run("ip", "netns", "delete", path.name, check=False)
        for path in (STATE, BPF):
            shutil.rmtree(path, ignore_errors=True)
