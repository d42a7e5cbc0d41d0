// SPDX-License-Identifier: Apache-2.0
#include "datapath/tc_attach.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include "weft_abi.h"

namespace weft::datapath {
namespace {

Result<__u32> program_id(int program_fd) {
    bpf_prog_info info{};
    __u32 len = sizeof(info);
    if (const int err = bpf_obj_get_info_by_fd(program_fd, &info, &len); err != 0) return fail_errno(-err, "program info");
    return info.id;
}

bpf_tc_opts our_place() {
    bpf_tc_opts opts{};
    opts.sz = sizeof(opts);
    opts.handle = WEFT_TC_HANDLE;
    opts.priority = WEFT_TC_PRIORITY;
    return opts;
}

} // namespace

Result<bool> attach_tc(int program_fd, int ifindex, TcHook where) {
    const auto what = fmt::format("tc {} of interface {}", where == TcHook::ingress ? "ingress" : "egress", ifindex);
    const auto id = program_id(program_fd);
    if (!id) return std::unexpected(id.error().in(what));

    bpf_tc_hook hook{};
    hook.sz = sizeof(hook);
    hook.ifindex = ifindex;
    hook.attach_point = where == TcHook::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;

    bpf_tc_opts current = our_place();
    if (bpf_tc_query(&hook, &current) == 0 && current.prog_id == *id) return false;

    if (const int err = bpf_tc_hook_create(&hook); err != 0 && err != -EEXIST) return fail_errno(-err, what);
    bpf_tc_opts opts = our_place();
    opts.prog_fd = program_fd;
    opts.flags = BPF_TC_F_REPLACE;
    if (const int err = bpf_tc_attach(&hook, &opts); err != 0) return fail_errno(-err, what);
    return true;
}

} // namespace weft::datapath
