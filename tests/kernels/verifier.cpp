// SPDX-License-Identifier: Apache-2.0
#include "verifier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <ranges>
#include <string_view>
#include <vector>

#include "datapath/skeletons.hpp"

namespace weft::kernels {
namespace {

constexpr std::uint32_t kStats = 4;          // the verifier's log level for a few numbers at the end
constexpr std::size_t kLogSize = 256 * 1024; // of a program that is refused

std::uint64_t number_at(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

/// What follows the last of these words.
std::string_view after(std::string_view text, std::string_view words) {
    const auto at = text.rfind(words);
    return at == text.npos ? std::string_view() : text.substr(at + words.size());
}

/// "stack depth 216" or, with functions that are not inlined, "stack depth 216+32+8": the program's own frame, and as many of
/// the others as there may be on top of it, the largest.
std::uint64_t stack_depth(std::string_view text) {
    constexpr std::ptrdiff_t kCallsDeep = 2;
    std::vector<std::uint64_t> functions;
    auto depths = after(text, "stack depth ");
    depths = depths.substr(0, depths.find('\n'));
    auto total = number_at(depths);
    for (auto plus = depths.find('+'); plus != depths.npos; plus = depths.find('+')) {
        depths.remove_prefix(plus + 1);
        functions.push_back(number_at(depths));
    }
    std::ranges::sort(functions, std::greater());
    for (const auto depth : functions | std::views::take(kCallsDeep)) total += depth;
    return total;
}

class Logs {
public:
    explicit Logs(bpf_object *object) : object_(object) {
        bpf_program *program = nullptr;
        bpf_object__for_each_program(program, object_) {
            auto &log = logs_[bpf_program__name(program)];
            log.resize(kLogSize);
            bpf_program__set_log_level(program, kStats);
            bpf_program__set_log_buf(program, log.data(), log.size());
        }
    }

    /// Of programs that were loaded.
    void costs(std::map<std::string, Cost> &all) const {
        for (const auto &[name, log] : logs_) {
            const std::string_view text(log.data());
            all[name] = {.instructions = number_at(after(text, "processed ")),
                         .peak_states = number_at(after(text, "peak_states ")),
                         .stack = stack_depth(text)};
        }
    }

    /// The last words about each program.
    [[nodiscard]] std::string complaint() const {
        std::string all;
        for (const auto &[name, log] : logs_) {
            const std::string_view text(log.data());
            if (!text.empty())
                all += fmt::format("\n{}: {}", name, text.substr(text.size() - std::min(text.size(), kEnd)));
        }
        return all;
    }

private:
    static constexpr std::size_t kEnd = 1500;
    bpf_object *object_;
    std::map<std::string, std::vector<char>> logs_;
};

} // namespace

Result<std::map<std::string, Cost>> load_programs(const DatapathConfig &config, const datapath::Features &features) {
    std::map<std::string, Cost> all;
    const datapath::SkelPtr<weft_bpf> tc(weft_bpf::open());
    if (!tc) return fail_errno(errno, "open tc programs");
    tc->rodata->cfg = datapath::make_cfg(config, features);
    const Logs tc_logs(tc->obj);
    if (const int err = weft_bpf::load(tc.get()); err != 0)
        return fail_errno(-err, "load tc programs" + tc_logs.complaint());
    tc_logs.costs(all);

    auto xdp = datapath::open_xdp(config, features, *tc);
    if (!xdp) return fail_as_is(std::move(xdp));
    const Logs xdp_logs((*xdp)->obj);
    if (const int err = xdp_wire_bpf::load(xdp->get()); err != 0)
        return fail_errno(-err, "load the XDP program" + xdp_logs.complaint());
    xdp_logs.costs(all);
    return all;
}

} // namespace weft::kernels
