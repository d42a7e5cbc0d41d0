// SPDX-License-Identifier: Apache-2.0
#include "cni/endpoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cni/allowed_note.hpp"
#include "cni/identity.hpp"
#include "net/link.hpp"

namespace weft::cni {
namespace {

/// The host end that an entry names, if it lives.
Result<std::optional<net::Link>> holder(net::NlSocket &host, const weft_endpoint &entry) {
    auto link = net::find_link(host, static_cast<int>(entry.ifindex));
    if (link && *link && !is_host_end(**link)) return std::nullopt;
    return link;
}

} // namespace

Result<Endpoints> Endpoints::open(const std::filesystem::path &bpf_dir) {
    auto map = maps::EndpointMap::open(bpf_dir, WEFT_PIN_ENDPOINTS);
    if (!map) return fail_as_is(std::move(map));
    auto allowed = maps::AllowedMap::open(bpf_dir, WEFT_PIN_ALLOWED);
    if (!allowed && allowed.error().code() != ENOENT) return fail_as_is(std::move(allowed));
    return Endpoints(std::move(*map), allowed ? std::optional(std::move(*allowed)) : std::nullopt);
}

Status Endpoints::refuse_if_held(net::NlSocket &host, const Ip &address, int ifindex) const {
    auto entry = map_->get(abi::ip(address));
    if (!entry) return fail_as_is(std::move(entry));
    if (!*entry || static_cast<int>((*entry)->ifindex) == ifindex) return {};
    auto other = holder(host, **entry);
    if (!other) return fail_as_is(std::move(other));
    if (!*other) return {};
    return fail(fmt::format("{} is already wired to {} ({})", address.to_string(), (*other)->name, (*other)->alias),
                EADDRINUSE);
}

Status Endpoints::publish(net::NlSocket &host, const Ip &address, const weft_endpoint &endpoint) const {
    const weft_ip key = abi::ip(address);
    auto put = map_->put(key, endpoint, BPF_NOEXIST);
    if (put || put.error().code() != EEXIST) return put;
    if (auto free = refuse_if_held(host, address, static_cast<int>(endpoint.ifindex)); !free) return free;
    return map_->put(key, endpoint);
}

Status Endpoints::withdraw(net::NlSocket &host, const Ip &address, int ifindex) const {
    const weft_ip key = abi::ip(address);
    auto entry = map_->get(key);
    if (!entry) return fail_as_is(std::move(entry));
    if (!*entry) return {};
    if (static_cast<int>((*entry)->ifindex) != ifindex) {
        auto other = holder(host, **entry);
        if (!other) return fail_as_is(std::move(other));
        if (*other) return {};
    }
    auto erased = map_->erase(key);
    return erased ? Status() : fail_as_is(std::move(erased));
}

Status Endpoints::withdraw_link(int ifindex) const {
    auto entries = map_->entries();
    if (!entries) return fail_as_is(std::move(entries));
    for (const auto &[key, entry] : *entries) {
        if (static_cast<int>(entry.ifindex) != ifindex) continue;
        if (auto erased = map_->erase(key); !erased) return fail_as_is(std::move(erased));
    }
    return allow(ifindex, {}, false);
}

std::vector<weft_allowed_key> Endpoints::allowed_to(int ifindex) const {
    auto keys = allowed_ ? (*allowed_)->keys() : std::vector<weft_allowed_key>();
    std::erase_if(keys, [&](const weft_allowed_key &key) { return static_cast<int>(key.ifindex) != ifindex; });
    return keys;
}

Status Endpoints::allow(int ifindex, const std::vector<Net> &sources, bool any) const {
    const auto wanted = allowed_keys(ifindex, sources, any);
    if (!allowed_) return wanted.empty() ? Status() : fail("this node's weftd knows of no allowed addresses", ENOENT);
    for (const auto &key : allowed_to(ifindex))
        if (auto erased = (*allowed_)->erase(key); !erased) return fail_as_is(std::move(erased));
    for (const auto &key : wanted)
        if (auto put = (*allowed_)->put(key, 1); !put) return put;
    return {};
}

bool Endpoints::allows(int ifindex, const std::vector<Net> &sources, bool any) const {
    const auto same = [](const weft_allowed_key &a, const weft_allowed_key &b) {
        return std::memcmp(&a, &b, sizeof a) == 0;
    };
    return std::ranges::is_permutation(allowed_to(ifindex), allowed_keys(ifindex, sources, any), same);
}

Status Endpoints::sweep(net::NlSocket &host) const {
    // Entries first, links second: an entry is written after its link is there, so a link that is missing from the later
    // list is gone, not yet to come.
    auto entries = map_->entries();
    if (!entries) return fail_as_is(std::move(entries));
    auto links = net::list_links(host);
    if (!links) return fail_as_is(std::move(links));
    for (const auto &[key, entry] : *entries) {
        const int named = static_cast<int>(entry.ifindex);
        const bool alive = std::ranges::any_of(
            *links, [named](const net::Link &link) { return link.index == named && is_host_end(link); });
        if (alive) continue;
        if (auto erased = map_->erase(key); !erased) return fail_as_is(std::move(erased));
    }
    return {};
}

} // namespace weft::cni
