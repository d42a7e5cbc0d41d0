// SPDX-License-Identifier: Apache-2.0
#include "traffic.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weft::test {
namespace {

std::string next_seed() {
    static std::atomic<std::uint64_t> seed = 1; // differs from one transfer to the next: stale data is wrong data
    return std::to_string(seed++);
}

} // namespace

Result<Process> serve_traffic(const Netns &ns) {
    auto server = ns.spawn({WEFT_TRAFFIC, "serve", std::to_string(kTrafficPort)});
    if (!server) return server;
    if (!server->wait_for_output("serving")) return fail(ns.name() + ": " + server->describe());
    return server;
}

Result<Transfer> tcp_transfer(const Netns &from, std::string_view to, std::uint64_t bytes,
                              const TransferOptions &options) {
    auto out = from.run({WEFT_TRAFFIC, "tcp", std::string(to), std::to_string(options.port),
                         options.direction == Direction::send ? "--send" : "--receive", std::to_string(bytes), "--seed",
                         next_seed(), "--source-port", std::to_string(options.source_port), "--rate",
                         std::to_string(options.rate)},
                        {}, options.timeout);
    if (!out) return fail_in(std::move(out), fmt::format("TCP with {}", to));
    const auto result = nlohmann::json::parse(*out, nullptr, false);
    if (!result.is_object()) return fail("weft_traffic said: " + *out);
    return Transfer{
        result.value("bytes", std::uint64_t{0}), result.value("seconds", 0.0), result.value("gbit_s", 0.0),
        result.value("longest_pause_s", 0.0),    result.value("seen_as", ""),  result.value("served_by", "")};
}

Status udp_echo(const Netns &from, std::string_view to, std::vector<std::size_t> sizes, unsigned count,
                std::uint16_t port) {
    std::vector<std::string> argv{
        WEFT_TRAFFIC, "udp",       std::string(to), std::to_string(port), "--count", std::to_string(count),
        "--seed",     next_seed(), "--size"};
    for (const auto size : sizes) argv.push_back(std::to_string(size));
    auto out = from.run(std::move(argv));
    if (!out) return fail_in(std::move(out), fmt::format("UDP with {}", to));
    return {};
}

Status udp_segmented_echo(const Netns &from, std::string_view to, std::size_t bytes, std::uint16_t segment,
                          unsigned count, std::uint16_t port) {
    auto out = from.run({WEFT_TRAFFIC, "udp", std::string(to), std::to_string(port), "--count", std::to_string(count),
                         "--seed", next_seed(), "--size", std::to_string(bytes), "--segment", std::to_string(segment)});
    if (!out) return fail_in(std::move(out), fmt::format("UDP in segments with {}", to));
    return {};
}

Result<std::string> udp_exchange(const Netns &from, std::string_view to, const UdpOptions &options) {
    std::vector<std::string> argv{WEFT_TRAFFIC, "udp", std::string(to)};
    for (auto &word :
         words(fmt::format("{} --who --count {} --seed {} --source-port {} --timeout-ms {} --size", options.port,
                           options.count, next_seed(), options.source_port, options.answer_within.count())))
        argv.push_back(std::move(word));
    for (const auto size : options.sizes) argv.push_back(std::to_string(size));
    auto out = from.run(std::move(argv));
    if (!out) return fail_in(std::move(out), fmt::format("UDP with {}", to));
    const auto result = nlohmann::json::parse(*out, nullptr, false);
    if (!result.is_object()) return fail("weft_traffic said: " + *out);
    return result.value("seen_as", "");
}

Result<SteadyFlow> SteadyFlow::start(const Netns &from, std::string_view to, std::chrono::microseconds interval) {
    auto flow =
        from.spawn({WEFT_STEADY, std::string(to), std::to_string(kTrafficPort), std::to_string(interval.count())});
    if (!flow) return fail_as_is(std::move(flow));
    if (!flow->wait_for_output("flowing")) return fail(fmt::format("UDP flow to {}: {}", to, flow->describe()));
    return SteadyFlow(std::move(*flow));
}

Result<FlowReport> SteadyFlow::report() {
    if (auto asked = process_.signal(SIGUSR1); !asked) return fail_as_is(std::move(asked));
    ++reports_;
    const auto lines = [&] {
        const auto out = process_.out();
        return std::pair(out, static_cast<std::size_t>(std::ranges::count(out, '\n')));
    };
    if (!wait_until([&] { return lines().second > reports_; })) return fail("no report: " + process_.describe());
    const auto out = lines().first;
    const auto line = out.rfind('\n', out.size() - 2) + 1;
    const auto json = nlohmann::json::parse(out.substr(line), nullptr, false);
    if (!json.is_object()) return fail("weft_steady said: " + out);
    return FlowReport{json.value("sent", std::uint64_t{0}), json.value("lost", std::uint64_t{0}),
                      json.value("reordered", std::uint64_t{0}), json.value("longest_pause_ms", 0.0)};
}

Result<Flood> Flood::start(const Netns &from, const Netns &at, std::string_view to, unsigned per_second) {
    const auto port = std::to_string(kTrafficPort + 2);
    auto receiver = at.spawn({WEFT_FLOOD, "receive", port});
    if (!receiver) return fail_as_is(std::move(receiver));
    if (!receiver->wait_for_output("listening")) return fail("weft_flood: " + receiver->describe());
    auto sender = from.spawn({WEFT_FLOOD, "send", std::string(to), port, std::to_string(per_second)});
    if (!sender) return fail_as_is(std::move(sender));
    Flood flood(std::move(*sender), std::move(*receiver));
    if (!wait_until([&] { return flood.count().value_or(Count{}).received > 0; })) return fail("nothing arrives");
    return flood;
}

Result<Flood::Count> Flood::count() {
    if (auto asked = receiver_.signal(SIGUSR1); !asked) return fail_as_is(std::move(asked));
    ++counts_;
    const auto lines = [&] { return static_cast<std::size_t>(std::ranges::count(receiver_.out(), '\n')); };
    if (!wait_until([&] { return lines() > counts_; })) return fail("no count: " + receiver_.describe());
    const auto out = receiver_.out();
    const auto json = nlohmann::json::parse(out.substr(out.rfind('\n', out.size() - 2) + 1), nullptr, false);
    return Count{.received = json.value("received", std::uint64_t{0}), .wrong = json.value("wrong", std::uint64_t{0})};
}

Result<Flood::Count> Flood::stop() {
    if (sender_.terminate() != 0) return fail("weft_flood: " + sender_.describe());
    const auto sent = nlohmann::json::parse(sender_.out(), nullptr, false).value("sent", std::uint64_t{0});
    Result<Count> now = Count{};
    (void)wait_until([&] { return !(now = count()) || now->received + now->wrong >= sent; }, 3s, 50ms);
    if (now) now->sent = sent;
    return now;
}

Result<std::uint64_t> Flood::finish() {
    auto counted = stop();
    if (!counted) return fail_as_is(std::move(counted));
    if (counted->received == counted->sent && counted->wrong == 0) return counted->sent;
    return fail(fmt::format("{} of {} datagrams arrived, and {} were wrong or came twice", counted->received,
                            counted->sent, counted->wrong));
}

Status ping(const Netns &from, std::string_view to, unsigned count, std::string_view options) {
    auto out = from.run(words(fmt::format("ping -n -q -c {} -i 0.01 -W 2 {} {}", count, options, to)));
    if (!out) return fail_as_is(std::move(out));
    // ping ends with 0 when a single answer came.
    if (out->find(" 0% packet loss") == out->npos) return fail(fmt::format("ping {}: {}", to, *out));
    return {};
}

} // namespace weft::test
