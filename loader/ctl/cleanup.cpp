// SPDX-License-Identifier: Apache-2.0
#include "ctl/cleanup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "cleanup/leavings.hpp"
#include "ctl/control_socket.hpp"
#include "ctl/pins.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {
namespace {

/// Nobody may put things back while they are taken away.
Result<std::optional<UniqueFd>> keep_daemon_out(const std::filesystem::path &run_dir) {
    auto held = hold_run_dir(run_dir);
    if (held) return std::optional(std::move(*held));
    switch (held.error().code()) {
    case ENOENT: return std::nullopt; // never ran here, or cleaned up before
    case EACCES:
    case EPERM: return std::unexpected(not_permitted());
    case EADDRINUSE:
        return fail(fmt::format("weftd runs in {}: stop it first, it would put everything back", run_dir.string()),
                    EADDRINUSE);
    default: return fail_as_is(std::move(held));
    }
}

Status refuse_with_pods(const std::vector<Leaving> &leavings) {
    const auto pods = std::ranges::count_if(leavings, &Leaving::is_pod);
    if (pods == 0) return {};
    return fail(
        fmt::format("{} pods of this node are wired by weft: remove them through their runtime first, give them up "
                    "with --pods, or leave them to a flannel that is about to start with --keep-pods",
                    pods),
        EBUSY);
}

std::string report(const Context &context, const std::vector<Leaving> &leavings, bool removed) {
    if (context.json) {
        auto list = nlohmann::ordered_json::array();
        for (const auto &leaving : leavings) list.push_back({{"what", leaving.what}, {"removed", removed}});
        return json_text(list);
    }
    if (leavings.empty()) return "nothing of weft is on this node\n";
    std::string text;
    for (const auto &leaving : leavings)
        text += fmt::format("{} {}\n", removed ? "removed" : "would remove", leaving.what);
    return text;
}

} // namespace

Result<std::string> run_cleanup(const Context &context, const CleanupOptions &options) {
    std::optional<UniqueFd> lock;
    if (!options.dry_run) {
        auto held = keep_daemon_out(context.run_dir);
        if (!held) return fail_as_is(std::move(held));
        lock = std::move(*held);
    }
    auto leavings =
        find_leavings({.run_dir = context.run_dir, .bpf_dir = context.bpf_dir, .subnet_file = options.subnet_file},
                      options.keep_pods ? PodsFate::stay : PodsFate::go);
    if (!leavings) return fail_as_is(std::move(leavings));
    if (options.dry_run) return report(context, *leavings, false);
    if (!options.pods)
        if (auto free = refuse_with_pods(*leavings); !free) return fail_as_is(std::move(free));

    std::vector<std::string> failures;
    for (const auto &leaving : *leavings)
        if (auto removed = leaving.remove(); !removed)
            failures.push_back(fmt::format("{}: {}", leaving.what, removed.error().sentence()));
    if (!failures.empty())
        return fail(fmt::format("{} of {} things could not be removed: {}", failures.size(), leavings->size(),
                                fmt::join(failures, "; ")),
                    EIO);
    return report(context, *leavings, true);
}

} // namespace weft::ctl
