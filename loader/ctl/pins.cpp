// SPDX-License-Identifier: Apache-2.0
#include "ctl/pins.hpp"

#include <fmt/format.h>

#include <string>
#include <system_error>

namespace weft::ctl {
namespace {

/// A pin of another layout version ("leases_v2" for a build that knows "leases_v1"), or nothing.
std::string pin_of_other_version(const std::filesystem::path &bpf_dir) {
    constexpr std::string_view kOurs = WEFT_PIN_LEASES;
    constexpr std::string_view kStem = kOurs.substr(0, kOurs.rfind('v') + 1);
    std::error_code err;
    for (std::filesystem::directory_iterator it(bpf_dir, err), end; !err && it != end; it.increment(err)) {
        const auto name = it->path().filename().string();
        if (name.starts_with(kStem) && name != kOurs) return name;
    }
    return {};
}

} // namespace

Error not_permitted() { return {EACCES, "permission denied: weftctl needs root"}; }

Error explain_pin_error(Error error, const std::filesystem::path &bpf_dir) {
    switch (error.code()) {
    case EACCES:
    case EPERM: return not_permitted();
    case ENOENT: break;
    default: return error;
    }
    if (const auto other = pin_of_other_version(bpf_dir); !other.empty())
        return {EPROTO, fmt::format("{} holds {}: set up by another version of weft than this weftctl {}",
                                    bpf_dir.string(), other, WEFT_VERSION)};
    return {ENOENT, fmt::format("weftd has not set up this node: no weft maps in {}", bpf_dir.string())};
}

} // namespace weft::ctl
