// SPDX-License-Identifier: Apache-2.0
#include "etcd_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "netns.hpp"

namespace weft::test {
namespace {

constexpr auto kStartTimeout = 20s;

Result<std::uint16_t> free_port_here(const std::string &address) {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in addr{.sin_family = AF_INET};
    ::inet_pton(AF_INET, address.c_str(), &addr.sin_addr);
    socklen_t size = sizeof addr;
    if (::bind(fd.get(), reinterpret_cast<sockaddr *>(&addr), size) < 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr *>(&addr), &size) < 0)
        return fail_errno(errno, "find a free port on " + address);
    return ntohs(addr.sin_port);
}

std::string unbase64(std::string_view text) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const auto value = digits.find(c);
        if (value == digits.npos) break;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        if ((count += 6) >= 8) bytes.push_back(static_cast<char>(bits >> (count -= 8) & 0xff));
    }
    return bytes;
}

} // namespace

Result<std::uint16_t> free_port(const std::string &address, const std::string &netns) {
    if (netns.empty()) return free_port_here(address);
    std::uint16_t found = 0;
    auto entered = run_in_netns(netns, [&]() -> Status {
        auto port = free_port_here(address);
        if (!port) return fail_as_is(std::move(port));
        found = *port;
        return {};
    });
    if (!entered) return fail_as_is(std::move(entered));
    return found;
}

Result<EtcdServer> EtcdServer::start(EtcdOptions options) {
    auto data = TempDir::create_in_memory("etcd");
    if (!data) return fail_as_is(std::move(data));
    auto peer_port = free_port(options.address, options.netns);
    if (!peer_port) return fail_as_is(std::move(peer_port));
    while (options.port == 0) {
        auto port = free_port(options.address, options.netns);
        if (!port) return fail_as_is(std::move(port));
        if (*port != *peer_port) options.port = *port;
    }
    EtcdServer server(std::move(options), std::move(*data));
    server.peer_port_ = *peer_port;
    if (auto launched = server.launch(); !launched) return fail_as_is(std::move(launched));
    return server;
}

Status EtcdServer::launch() {
    const auto peer = fmt::format("http://{}:{}", options_.address, peer_port_);
    std::vector<std::string> argv{"etcd", "--name=test", "--data-dir=" + (data_ / "data").string(),
                                  "--listen-client-urls=" + endpoint(), "--advertise-client-urls=" + endpoint(),
                                  "--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
                                  "--initial-cluster=test=" + peer, "--log-outputs=stderr", "--logger=zap",
                                  // One member elects itself at the first tick, so short ones make a fast start.
                                  "--heartbeat-interval=20", "--election-timeout=200"};
    argv.insert(argv.end(), options_.extra_args.begin(), options_.extra_args.end());
    auto started = Process::spawn(std::move(argv), {.netns = options_.netns, .env = {"ETCD_UNSUPPORTED_ARCH="}});
    if (!started) return fail_as_is(std::move(started));
    process_ = std::move(*started);
    return options_.wait ? wait_until_serving() : Status();
}

Status EtcdServer::wait_until_serving() {
    // The last line etcd logs before it answers clients: "serving client traffic [in]securely".
    const auto *serving =
        options_.scheme == "https" ? "serving client traffic securely" : "serving client traffic insecurely";
    if (!process_->wait_for_output(serving, kStartTimeout))
        return fail("etcd does not serve: " + process_->describe(), EIO);
    return {};
}

std::string EtcdServer::endpoint() const {
    return fmt::format("{}://{}:{}", options_.scheme, options_.address, options_.port);
}

Status EtcdServer::stop() {
    if (process_) process_->terminate(10s);
    process_.reset();
    return {};
}

Status EtcdServer::kill() {
    if (process_) process_->kill();
    process_.reset();
    return {};
}

Status EtcdServer::restart() {
    if (auto stopped = stop(); !stopped) return stopped;
    return launch();
}

Result<std::string> EtcdServer::ctl(std::vector<std::string> args) {
    std::vector<std::string> argv{"etcdctl", "--endpoints=" + endpoint(), "--command-timeout=10s"};
    argv.insert(argv.end(), options_.ctl_args.begin(), options_.ctl_args.end());
    argv.insert(argv.end(), std::make_move_iterator(args.begin()), std::make_move_iterator(args.end()));
    return run_ok(std::move(argv), {.netns = options_.netns, .env = {"ETCDCTL_API=3"}}, 20s);
}

Status EtcdServer::put(std::string_view key, std::string_view value) {
    auto out = ctl({"put", "--", std::string(key), std::string(value)});
    if (!out) return fail_as_is(std::move(out));
    return {};
}

Status EtcdServer::put_with_ttl(std::string_view key, std::string_view value, unsigned ttl_s) {
    auto granted = ctl({"lease", "grant", std::to_string(ttl_s)}); // "lease 694d... granted with TTL(60s)"
    if (!granted) return fail_as_is(std::move(granted));
    const auto fields = words(*granted);
    if (fields.size() < 2) return fail("etcdctl lease grant said: " + *granted);
    auto out = ctl({"put", "--lease=" + fields[1], "--", std::string(key), std::string(value)});
    if (!out) return fail_as_is(std::move(out));
    return {};
}

Result<std::map<std::string, std::string>> EtcdServer::get_prefix(std::string_view prefix) {
    auto out = ctl({"get", "--prefix", "--write-out=json", std::string(prefix)});
    if (!out) return fail_as_is(std::move(out));
    const auto reply = nlohmann::json::parse(*out, nullptr, false);
    if (reply.is_discarded()) return fail("etcdctl get said: " + *out);
    std::map<std::string, std::string> found;
    for (const auto &kv : reply.value("kvs", nlohmann::json::array()))
        found[unbase64(kv.value("key", ""))] = unbase64(kv.value("value", ""));
    return found;
}

Result<std::optional<std::string>> EtcdServer::get(std::string_view key) {
    auto all = get_prefix(key);
    if (!all) return fail_as_is(std::move(all));
    const auto it = all->find(std::string(key));
    if (it == all->end()) return std::nullopt;
    return it->second;
}

Status EtcdServer::del(std::string_view key) {
    auto out = ctl({"del", std::string(key)});
    if (!out) return fail_as_is(std::move(out));
    return {};
}

} // namespace weft::test
