# SPDX-License-Identifier: Apache-2.0
"""What a guest starts from: its kernel, and an initramfs of this build, the host's tools and the kernel's own modules.

The files lie in the guest where they lie on the host, so that paths that are compiled in or looked up in PATH hold there."""
import lzma
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

from .archive import NotHere

# The rest of a host's tools that tests and weftd call. busybox has the shell and what coreutils would.
TOOLS = ("bpftool", "bridge", "conntrack", "ethtool", "etcd", "etcdctl", "ip", "ip6tables", "ip6tables-restore",
         "ip6tables-save", "iptables", "iptables-restore", "iptables-save", "kmod", "nft", "nsenter", "ping", "sysctl",
         "tc", "tcpdump", "tracepath", "unshare")
# Loaded by name at run time, so that ldd does not tell.
PLUGINS = ("/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib/x86_64-linux-gnu/tc",
           "/usr/lib/x86_64-linux-gnu/bpf/xdp-dispatcher.o", "/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_alw_all.o")
SMALL_TOOLS = ("sh", "mount", "mkdir", "ln", "cat", "cp", "echo", "sleep", "date", "uname", "hostname", "poweroff", "rm", "sed",
               "grep", "env", "kill", "head", "tail", "wc", "mknod", "chmod", "true", "timeout", "dmesg", "stty")
# Whole folders of modules, and single ones, with what they depend on. The guest's kernel loads them when they are asked for.
MODULE_FOLDERS = ("net/netfilter", "net/ipv4/netfilter", "net/ipv6/netfilter", "net/bridge", "net/sched", "net/8021q")
MODULES = ("veth", "vxlan", "dummy", "bonding", "netkit", "sctp", "sctp_diag", "ipip", "ip6_tunnel", "tun", "sit", "fou",
           "crc32c_generic", "libcrc32c", "crc32c-cryptoapi", "ipv6")


class Image:
    """A cpio archive under construction."""

    def __init__(self):
        self._entries = {}  # path without its leading slash: (mode, content)

    def _folders(self, path):
        for folder in list(Path(path).parents)[::-1]:
            if str(folder) != ".":
                self._entries.setdefault(str(folder), (stat.S_IFDIR | 0o755, b""))

    def folder(self, path):
        path = path.lstrip("/")
        self._folders(path)
        self._entries.setdefault(path, (stat.S_IFDIR | 0o755, b""))

    def file(self, path, content, mode=0o755):
        path = path.lstrip("/")
        self._folders(path)
        self._entries[path] = (stat.S_IFREG | mode, content)

    def link(self, path, target):
        path = path.lstrip("/")
        self._folders(path)
        self._entries[path] = (stat.S_IFLNK | 0o777, target.encode())

    def host_file(self, path):
        """A file of the host where it is there, and what a symbolic link of that path leads to."""
        path = os.path.abspath(path)
        if os.path.islink(path):
            target = os.readlink(path)
            self.link(path, target)
            return self.host_file(os.path.join(os.path.dirname(path), target))
        self.file(path, Path(path).read_bytes(), os.stat(path).st_mode & 0o777)
        return path

    def host_program(self, path):
        """A program or library of the host with the libraries it needs."""
        self.host_file(path)
        for library in libraries(path):
            if library.lstrip("/") not in self._entries:
                self.host_file(library)

    def write(self, out):
        with open(out, "wb") as stream:
            for number, (name, (mode, content)) in enumerate(self._entries.items(), 1):
                stream.write(_newc(name, mode, content, number))
            stream.write(_newc("TRAILER!!!", 0, b"", 0))


def _newc(name, mode, content, number):
    """One file in cpio's format "newc": documented in the kernel's driver-api/early-userspace/buffer-format."""
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def libraries(path):
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    if "=> not found" in done.stdout:
        raise NotHere(f"{path}: {done.stdout.split('=> not found')[0].split()[-1]} is not installed")
    return re.findall(r"(/\S+) \(0x", done.stdout)


def find_tool(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise NotHere(f"needs the command {name}")
    return found


def base_image(programs, files, work):
    """The part that all kernels share. `programs`: executables of this build; `files`: (path in the guest, content)."""
    image = Image()
    for folder in ("/proc", "/sys", "/dev", "/run/netns", "/tmp", "/etc", "/dev/shm", "/var/log", "/root", "/lib", "/usr/sbin"):
        image.folder(folder)
    image.host_file(find_tool("busybox"))
    for name in SMALL_TOOLS:
        image.link(f"/bin/{name}", find_tool("busybox"))
    for name in TOOLS:
        tool = find_tool(name)
        image.host_program(tool)
        image.host_program(os.path.realpath(tool))
    image.link("/sbin/modprobe", find_tool("kmod"))
    for plugin in PLUGINS:
        for file in [plugin] if os.path.isfile(plugin) else sorted(Path(plugin).glob("*")):
            image.host_file(str(file))
    for program in programs:
        stripped = Path(work) / "stripped"
        subprocess.run(["strip", "-o", stripped, program], check=True)
        for library in libraries(program):
            image.host_file(library)
        image.file(str(program), stripped.read_bytes())
    image.host_file("/etc/protocols")
    image.host_file("/etc/services")
    image.file("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n", 0o644)
    image.file("/etc/group", b"root:x:0:\n", 0o644)
    image.file("/etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n", 0o644)
    for path, content in files:
        image.file(path, content)
    return image


def unpack_kernel(debs, work):
    """Takes the kernel's packages apart. @return (kernel image, release, its modules' folder)"""
    tree = Path(work) / "tree"
    tree.mkdir()
    for deb in debs:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpacking:
            subprocess.run(["tar", "-x", "-C", tree, "--exclude=./usr/share", "--exclude=./boot/System.map*",
                            "--exclude=*/kernel/fs/*", "--exclude=*/kernel/drivers/[a-mo-z]*"], stdin=unpacking.stdout, check=True)
    modules = next(iter(sorted(tree.glob("**/modules/*/kernel")))).parent
    image = next((path for place in (tree / "boot", modules) for path in place.glob("vmlinuz*")), None)
    if not image:
        raise NotHere(f"{debs[0].name}: no kernel in it")
    return image, modules.name, modules


def modules_image(release, modules, work):
    """The modules that are of use, in an archive of their own: the kernel takes several, one behind the other."""
    root = Path(work) / "modules"
    chosen = root / "lib/modules" / release
    wanted = _with_dependencies(modules, release, work)
    for path in wanted:
        target = chosen / path.relative_to(modules)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        if path.suffix == ".xz":
            target, content = target.with_suffix(""), lzma.decompress(content)
        target.write_bytes(content)
    for index in modules.glob("modules.builtin*"):
        shutil.copy(index, chosen)
    (chosen / "modules.order").touch()
    subprocess.run([find_tool("depmod"), "-b", root, release], check=True, capture_output=True)
    image = Image()
    for path in sorted(chosen.rglob("*")):
        if path.is_file():
            image.file(str(path.relative_to(root)), path.read_bytes(), 0o644)
    return image


def _with_dependencies(modules, release, work):
    """The paths of MODULE_FOLDERS and MODULES, and of what these need."""
    base = Path(work) / "tree"
    if not (base / "lib").exists():
        (base / "lib").symlink_to("usr/lib")
    (modules / "modules.order").touch()
    subprocess.run([find_tool("depmod"), "-b", base, release], check=True, capture_output=True)
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    wanted = set()
    for path, rest in needs.items():
        name = re.sub(r"\.ko(\.xz)?$", "", os.path.basename(path))
        folder = os.path.dirname(path).removeprefix("kernel/")
        if name in MODULES or any(folder == one or folder.startswith(one + "/") for one in MODULE_FOLDERS):
            wanted |= {path, *rest}
    return [modules / path for path in sorted(wanted)]
