// SPDX-License-Identifier: Apache-2.0
#include "judge.hpp"

#include <netinet/in.h>

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "honest.hpp"
#include "poll.hpp"

namespace weft::attack {
namespace {

constexpr std::uint8_t kFirstDiscovery = 133, kLastDiscovery = 137; // RFC 4861

std::optional<Mark> mark_in(const Received &received) {
    const auto &bytes = received.bytes;
    if (received.from == Received::From::link) return Mark::find(bytes.data(), bytes.size());
    std::size_t at = 0;
    if (received.from == Received::From::ip4) at = bytes.empty() ? 0 : (bytes[0] & 0x0f) * 4U;
    if (received.protocol == IPPROTO_TCP) {
        if (at + 20 > bytes.size()) return std::nullopt;
        return Mark::at(bytes.data(), bytes.size(), at + (bytes[at + 12] >> 4) * 4U);
    }
    const bool discovery = received.protocol == IPPROTO_ICMPV6 && !bytes.empty() && bytes[0] >= kFirstDiscovery &&
                           bytes[0] <= kLastDiscovery;
    if (discovery) return Mark::find(bytes.data(), bytes.size());
    return Mark::at(bytes.data(), bytes.size(), at + 8);
}

/// A frame without a mark that no crafted packet was the cause of: ARP, group reports, and IPv6's neighbour messages.
bool is_housekeeping(const Bytes &frame) {
    if (frame.size() < kEth) return false;
    const auto type = get16(frame, 12);
    if (type == 0x0806) return true;
    if (type == 0x0800 && frame.size() > kEth + 9 && frame[kEth + 9] == IPPROTO_IGMP) return true;
    if (type != 0x86dd || frame.size() < kEth + 40) return false;
    const auto next = frame[kEth + 6];
    return next == IPPROTO_ICMPV6 || next == IPPROTO_HOPOPTS; // group reports have a router alert
}

void note(Sightings &seen, const std::string &place, const Received &received) {
    const auto mark = mark_in(received);
    if (mark && mark->kind == kHonestKind) {
        seen.honest.insert(mark->number);
    } else if (mark) {
        seen.crafted.insert(*mark);
        ++seen.places[place];
    } else if (received.from == Received::From::link && !is_housekeeping(received.bytes)) {
        ++seen.unmarked;
        ++seen.places[place];
        if (seen.first_unmarked.empty()) seen.first_unmarked = fmt::format("{:02x}", fmt::join(received.bytes, ""));
    }
}

} // namespace

std::string Sightings::to_string() const {
    std::string text = fmt::format("{} crafted packets seen", crafted.size());
    for (const auto &[place, count] : places) text += fmt::format(", {} times {}", count, place);
    if (unmarked) text += fmt::format("; {} without a mark, the first {}", unmarked, first_unmarked);
    return text;
}

Status Judge::watch_pod(const std::string &place, const test::Netns &ns) {
    auto ears = Ears::of_interface(ns, "eth0");
    if (!ears) return fail_as_is(std::move(ears));
    places_.push_back({place, std::move(*ears)});
    return {};
}

Status Judge::watch_host(const std::string &place, const test::Netns &ns) {
    auto ears = Ears::of_host(ns);
    if (!ears) return fail_as_is(std::move(ears));
    places_.push_back({place, std::move(*ears)});
    return {};
}

Result<Sightings> Judge::look(const std::set<std::uint32_t> &honest) {
    Sightings seen;
    Status received;
    const auto take = [&] {
        for (const auto &[name, ears] : places_) {
            auto got = ears.take();
            if (!got)
                received = fail_in(std::move(got), name);
            else
                for (const auto &one : *got) note(seen, name, one);
        }
        return !received || std::ranges::includes(seen.honest, honest);
    };
    const bool all = test::wait_until(take, std::chrono::seconds(10), std::chrono::milliseconds(1));
    if (received) (void)take(); // what came to a place while the ones behind it were looked at
    if (!received) return fail_as_is(std::move(received));
    if (all) return seen;
    std::vector<std::uint32_t> missing;
    std::ranges::set_difference(honest, seen.honest, std::back_inserter(missing));
    return fail(fmt::format("honest packets {} are nowhere; {}", fmt::join(missing, ", "), seen.to_string()));
}

} // namespace weft::attack
