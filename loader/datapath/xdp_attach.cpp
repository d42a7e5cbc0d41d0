// SPDX-License-Identifier: Apache-2.0
#include "datapath/xdp_attach.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include <memory>
#include <string>
#include <vector>

namespace weft::datapath {
namespace {

struct MultiprogClose {
    void operator()(xdp_multiprog *p) const { xdp_multiprog__close(p); }
};
using MultiprogPtr = std::unique_ptr<xdp_multiprog, MultiprogClose>;

struct ProgramClose {
    void operator()(xdp_program *p) const { xdp_program__close(p); }
};
using ProgramPtr = std::unique_ptr<xdp_program, ProgramClose>;

/// libxdp's error-pointer convention.
template <class T> int pointer_error(T *p) { return static_cast<int>(-libxdp_get_error(p)); }

/// What is attached to the interface; null when nothing is.
MultiprogPtr attached_to(int ifindex) {
    xdp_multiprog *raw = xdp_multiprog__get_from_ifindex(ifindex);
    return pointer_error(raw) ? nullptr : MultiprogPtr(raw);
}

/// The kernel cuts names to 15 characters.
bool same_name(std::string_view full, const char *found) {
    return full.substr(0, BPF_OBJ_NAME_LEN - 1) == std::string_view(found).substr(0, BPF_OBJ_NAME_LEN - 1);
}

/// The programs of that name, borrowed from `all`.
std::vector<xdp_program *> find_programs(const xdp_multiprog &all, std::string_view name) {
    std::vector<xdp_program *> found;
    if (xdp_multiprog__is_legacy(&all)) {
        xdp_program *only = xdp_multiprog__main_prog(&all);
        if (only && same_name(name, xdp_program__name(only))) found.push_back(only);
        return found;
    }
    for (xdp_program *p = xdp_multiprog__next_prog(nullptr, &all); p; p = xdp_multiprog__next_prog(p, &all))
        if (same_name(name, xdp_program__name(p))) found.push_back(p);
    return found;
}

/// Where libxdp has no dispatcher: a detach would leave the driver without any program for a moment, and some drivers reset
/// their queues for that.
Status replace_only(bpf_object &object, const std::string &name, int ifindex, const xdp_multiprog &current) {
    if (const int err = bpf_object__load(&object); err != 0) return fail_errno(-err, "load " + name);
    bpf_xdp_attach_opts opts{};
    opts.sz = sizeof(opts);
    opts.old_prog_fd = xdp_program__fd(xdp_multiprog__main_prog(&current));
    const unsigned mode =
        xdp_multiprog__attach_mode(&current) == XDP_MODE_SKB ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
    const bpf_program *program = bpf_object__find_program_by_name(&object, name.c_str());
    const int err = bpf_xdp_attach(ifindex, bpf_program__fd(program), mode | XDP_FLAGS_REPLACE, &opts);
    return err == 0 ? Status() : fail_errno(-err, "replace " + name);
}

} // namespace

Status attach_xdp(bpf_object &object, std::string_view program_name, int ifindex) {
    const auto what = fmt::format("XDP on interface {}", ifindex);
    if (const auto current = attached_to(ifindex);
        current && xdp_multiprog__is_legacy(current.get()) && !find_programs(*current, program_name).empty()) {
        auto replaced = replace_only(object, std::string(program_name), ifindex, *current);
        return replaced ? Status() : fail_in(std::move(replaced), what);
    }
    if (auto detached = detach_xdp(program_name, ifindex); !detached) return fail_as_is(std::move(detached));

    const std::string name(program_name);
    xdp_program_opts opts{};
    opts.sz = sizeof(opts);
    opts.obj = &object;
    opts.prog_name = name.c_str();
    xdp_program *raw = xdp_program__create(&opts);
    if (const int err = pointer_error(raw)) return fail_errno(err, what);
    const ProgramPtr program(raw);
    const int err = xdp_program__attach(program.get(), ifindex, XDP_MODE_NATIVE, 0);
    if (err == 0) return {};
    if (err == -EBUSY || err == -EEXIST)
        return fail(fmt::format("{}: another XDP program is attached and shares with nobody", what), EBUSY);
    return fail_errno(-err, what);
}

Status attach_xdp_alone(bpf_object &object, std::string_view program_name, int ifindex) {
    const auto what = fmt::format("XDP on interface {}, alone", ifindex);
    const std::string name(program_name);
    if (const int err = bpf_object__load(&object); err != 0) return fail_errno(-err, what);
    const bpf_program *program = bpf_object__find_program_by_name(&object, name.c_str());
    const int err =
        bpf_xdp_attach(ifindex, bpf_program__fd(program), XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr);
    return err == 0 ? Status() : fail_errno(-err, what);
}

bool xdp_is_alone(int ifindex) {
    const auto all = attached_to(ifindex);
    return all && xdp_multiprog__is_legacy(all.get());
}

bool xdp_is_attached(std::string_view program_name, int ifindex) {
    const auto all = attached_to(ifindex);
    return all && !find_programs(*all, program_name).empty();
}

Result<bool> detach_xdp(std::string_view program_name, int ifindex) {
    const auto all = attached_to(ifindex);
    if (!all) return false;
    const auto programs = find_programs(*all, program_name);
    const auto mode = xdp_multiprog__attach_mode(all.get());
    for (xdp_program *program : programs) {
        const int err = xdp_multiprog__is_legacy(all.get()) ? xdp_multiprog__detach(all.get())
                                                            : xdp_program__detach(program, ifindex, mode, 0);
        if (err != 0) return fail_errno(-err, fmt::format("take XDP program off interface {}", ifindex));
    }
    return !programs.empty();
}

} // namespace weft::datapath
