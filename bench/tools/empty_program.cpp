// SPDX-License-Identifier: Apache-2.0
// A tc program that only returns, to be counted as real ones are: what the kernel's own statistics cost on this machine.
//
//   empty_program INTERFACE ingress|egress
//
// Puts it on the interface of the namespace it is run in, prints its id, and takes it off again on SIGTERM.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <net/if.h>

#include <csignal>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "base/unique_fd.hpp"

namespace {

[[noreturn]] void die(const char *what, int err) {
    fmt::print(stderr, "empty_program: {}: {}\n", what, std::generic_category().message(err));
    std::_Exit(1);
}

weft::UniqueFd load() {
    const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1}, // TC_ACT_UNSPEC
                             {.code = BPF_JMP | BPF_EXIT}};
    weft::UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, std::size(code), nullptr));
    if (!program) die("load", errno);
    return program;
}

__u32 id_of(int program) {
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (const int err = bpf_obj_get_info_by_fd(program, &info, &length); err != 0) die("info", -err);
    return info.id;
}

} // namespace

int main(int argc, char **argv) {
    const std::string_view where = argc == 3 ? argv[2] : "";
    if (where != "ingress" && where != "egress") {
        fmt::print(stderr, "usage: empty_program INTERFACE ingress|egress\n");
        return 2;
    }
    sigset_t ending;
    ::sigemptyset(&ending);
    ::sigaddset(&ending, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &ending, nullptr);

    const auto program = load();
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = static_cast<int>(if_nametoindex(argv[1]));
    hook.attach_point = where == "ingress" ? BPF_TC_INGRESS : BPF_TC_EGRESS;
    bpf_tc_opts options{};
    options.sz = sizeof options;
    options.prog_fd = program.get();
    if (const int err = bpf_tc_hook_create(&hook); err != 0 && err != -EEXIST) die(argv[1], -err);
    if (const int err = bpf_tc_attach(&hook, &options); err != 0) die(argv[1], -err);
    fmt::print("{}\n", id_of(program.get()));
    std::fflush(stdout);

    int received = 0;
    ::sigwait(&ending, &received);
    hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS); // the qdisc that they lie on
    if (const int err = bpf_tc_hook_destroy(&hook); err != 0) die("take it off", -err);
    return 0;
}
