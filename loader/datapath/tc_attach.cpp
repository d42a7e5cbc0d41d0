// SPDX-License-Identifier: Apache-2.0
#include "datapath/tc_attach.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "weft_abi.h"

namespace weft::datapath {
namespace {

/// Since Linux 6.6; newer than the headers and the libbpf of Debian 12, whose attach call passes any number on.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr unsigned kFirst = 1U << 3; // BPF_F_BEFORE with nothing named: before all others
constexpr std::string_view kProgramPrefix = "weft_";

/// Programs on one TCX hook, in the order in which they run. The kernel allows 64.
constexpr std::size_t kMaxTcxPrograms = 64;

bpf_attach_type tcx_type(TcHook hook) { return hook == TcHook::ingress ? kTcxIngress : kTcxEgress; }

Result<bpf_prog_info> program_info(int program_fd) {
    bpf_prog_info info{};
    __u32 len = sizeof(info);
    if (const int err = bpf_obj_get_info_by_fd(program_fd, &info, &len); err != 0)
        return fail_errno(-err, "program info");
    return info;
}

struct OurProgram {
    UniqueFd fd;
    std::uint32_t id;
};

enum class Tcx { unsupported, supported };

/// Our program on a TCX hook.
Result<Tcx> find_tcx(int ifindex, TcHook hook, std::optional<OurProgram> &ours) {
    auto ids = tcx_programs(ifindex, hook);
    if (!ids && ids.error().code() == EINVAL) return Tcx::unsupported;
    if (!ids) return fail_as_is(std::move(ids));
    for (const auto id : *ids) {
        UniqueFd fd(bpf_prog_get_fd_by_id(id));
        if (!fd) continue; // gone meanwhile
        const auto info = program_info(fd.get());
        if (info && std::string_view(info->name).starts_with(kProgramPrefix)) ours = OurProgram{std::move(fd), id};
    }
    return Tcx::supported;
}

Status put_tcx(int program_fd, int ifindex, TcHook hook, const std::optional<OurProgram> &replaced) {
    struct bpf_prog_attach_opts opts{}; // a function has the same name
    opts.sz = sizeof(opts);
    opts.flags = replaced ? BPF_F_REPLACE : kFirst;
    opts.replace_prog_fd = replaced ? replaced->fd.get() : 0;
    const int err = bpf_prog_attach_opts(program_fd, ifindex, tcx_type(hook), &opts);
    return err == 0 ? Status() : fail_errno(-err, "attach by TCX");
}

bpf_tc_hook clsact_hook(int ifindex, TcHook hook) {
    bpf_tc_hook place{};
    place.sz = sizeof(place);
    place.ifindex = ifindex;
    place.attach_point = hook == TcHook::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
    return place;
}

bpf_tc_opts our_filter() {
    bpf_tc_opts opts{};
    opts.sz = sizeof(opts);
    opts.handle = WEFT_TC_HANDLE;
    opts.priority = WEFT_TC_PRIORITY;
    return opts;
}

/// libbpf warns of netlink errors that are outcomes here: no clsact to look in, or one there already.
class QuietLibbpf {
public:
    QuietLibbpf() : before_(libbpf_set_print(nullptr)) {}
    ~QuietLibbpf() { libbpf_set_print(before_); }
    QuietLibbpf(const QuietLibbpf &) = delete;
    QuietLibbpf &operator=(const QuietLibbpf &) = delete;

private:
    libbpf_print_fn_t before_;
};

std::optional<std::uint32_t> find_clsact(int ifindex, TcHook hook) {
    const QuietLibbpf quiet;
    const auto place = clsact_hook(ifindex, hook);
    auto opts = our_filter();
    if (bpf_tc_query(&place, &opts) != 0) return std::nullopt;
    return opts.prog_id;
}

Status put_clsact(int program_fd, int ifindex, TcHook hook) {
    const QuietLibbpf quiet;
    auto place = clsact_hook(ifindex, hook);
    if (const int err = bpf_tc_hook_create(&place); err != 0 && err != -EEXIST) return fail_errno(-err, "add clsact");
    auto opts = our_filter();
    opts.prog_fd = program_fd;
    opts.flags = BPF_TC_F_REPLACE;
    const int err = bpf_tc_attach(&place, &opts);
    return err == 0 ? Status() : fail_errno(-err, "attach by clsact");
}

std::string describe(int ifindex, TcHook hook) {
    return fmt::format("tc {} of interface {}", hook == TcHook::ingress ? "ingress" : "egress", ifindex);
}

} // namespace

Result<std::uint32_t> program_id(int program_fd) {
    auto info = program_info(program_fd);
    if (!info) return fail_as_is(std::move(info));
    return info->id;
}

Result<bool> attach_tc(int program_fd, int ifindex, TcHook hook) {
    const auto what = describe(ifindex, hook);
    auto id = program_id(program_fd);
    if (!id) return fail_in(std::move(id), what);

    std::optional<OurProgram> current;
    auto tcx = find_tcx(ifindex, hook, current);
    if (!tcx) return fail_in(std::move(tcx), what);
    const auto filter = current ? std::nullopt : find_clsact(ifindex, hook);
    if ((current && current->id == *id) || filter == *id) return false;
    const bool by_clsact = filter || *tcx == Tcx::unsupported;
    auto put = by_clsact ? put_clsact(program_fd, ifindex, hook) : put_tcx(program_fd, ifindex, hook, current);
    if (!put) return fail_in(std::move(put), what);
    return true;
}

Status attach_clsact(int program_fd, int ifindex, TcHook hook) {
    auto put = put_clsact(program_fd, ifindex, hook);
    return put ? Status() : fail_in(std::move(put), describe(ifindex, hook));
}

Result<std::vector<std::uint32_t>> tcx_programs(int ifindex, TcHook hook) {
    std::array<__u32, kMaxTcxPrograms> ids{};
    __u32 flags = 0, count = ids.size();
    const int err = bpf_prog_query(ifindex, tcx_type(hook), 0, &flags, ids.data(), &count);
    if (err == -ENOENT) return std::vector<std::uint32_t>(); // no program there yet
    if (err != 0) return fail_errno(-err, "list TCX programs");
    return std::vector<std::uint32_t>(ids.begin(), ids.begin() + std::min<std::size_t>(count, ids.size()));
}

Result<std::vector<std::uint32_t>> tcx_before_ours(int ifindex, TcHook hook) {
    auto ours = attached_tc(ifindex, hook);
    if (!ours) return fail_as_is(std::move(ours));
    auto before = *ours ? tcx_programs(ifindex, hook) : std::vector<std::uint32_t>();
    if (!before) return std::vector<std::uint32_t>(); // a kernel without TCX
    // A clsact filter of ours runs after all of them.
    before->erase(std::ranges::find(*before, ours->value_or(0)), before->end());
    return before;
}

Result<std::optional<std::uint32_t>> attached_tc(int ifindex, TcHook hook) {
    std::optional<OurProgram> current;
    auto tcx = find_tcx(ifindex, hook, current);
    if (!tcx) return fail_in(std::move(tcx), describe(ifindex, hook));
    if (current) return current->id;
    return find_clsact(ifindex, hook);
}

namespace {

Result<bool> detach_clsact(int ifindex, TcHook hook) {
    const QuietLibbpf quiet;
    const auto place = clsact_hook(ifindex, hook);
    auto found = our_filter();
    if (bpf_tc_query(&place, &found) != 0) return false;
    // Somebody else may have found the same priority and handle a good choice.
    const UniqueFd program(bpf_prog_get_fd_by_id(found.prog_id));
    const auto info = program_info(program.get());
    if (!info || !std::string_view(info->name).starts_with(kProgramPrefix)) return false;
    const auto which = our_filter();
    if (const int err = bpf_tc_detach(&place, &which); err != 0 && err != -ENOENT)
        return fail_errno(-err, "remove filter");
    return true;
}

} // namespace

Result<bool> detach_tc(int ifindex, TcHook hook) {
    const auto what = describe(ifindex, hook);
    std::optional<OurProgram> current;
    auto tcx = find_tcx(ifindex, hook, current);
    if (!tcx && tcx.error().code() == ENODEV) return false;
    if (!tcx) return fail_in(std::move(tcx), what);
    if (current)
        if (const int err = bpf_prog_detach2(current->fd.get(), ifindex, tcx_type(hook)); err != 0 && err != -ENOENT)
            return fail_errno(-err, what + ": detach");
    auto filter = detach_clsact(ifindex, hook);
    if (!filter) return fail_in(std::move(filter), what);
    return current.has_value() || *filter;
}

Status remove_clsact(int ifindex) {
    const QuietLibbpf quiet;
    auto place = clsact_hook(ifindex, TcHook::ingress);
    // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): libbpf's flags. Both: the qdisc itself.
    place.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
    const int err = bpf_tc_hook_destroy(&place);
    return err == 0 || err == -ENOENT ? Status() : fail_errno(-err, fmt::format("remove clsact of {}", ifindex));
}

} // namespace weft::datapath
