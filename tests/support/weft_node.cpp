// SPDX-License-Identifier: Apache-2.0
#include "weft_node.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include <fmt/format.h>

#include "base/addr.hpp"
#include "needs.hpp"

namespace weft::test {
namespace {

/// The value of `name` in a file of NAME=value lines.
std::optional<std::string> env_value(const std::string &text, std::string_view name) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with(fmt::format("{}=", name))) return line.substr(name.size() + 1);
    }
    return std::nullopt;
}

} // namespace

Counters operator-(const Counters &after, const Counters &before) {
    Counters difference;
    for (const auto &[name, packets] : after) {
        if (const auto was = count(before, name); packets != was) difference[name] = packets - was;
    }
    return difference;
}

std::string to_string(const Counters &counters) {
    std::string text;
    for (const auto &[name, packets] : counters) text += fmt::format("{}={} ", name, packets);
    return text;
}

std::uint64_t count(const Counters &counters, const std::string &name) {
    const auto it = counters.find(name);
    return it == counters.end() ? 0 : it->second;
}

Result<WeftNode> WeftNode::create(std::string_view name) {
    auto ns = Netns::create(name);
    if (!ns) return fail_as_is(std::move(ns));
    return create(name, std::move(*ns));
}

Result<WeftNode> WeftNode::create(std::string_view name, Netns ns) {
    auto dir = TempDir::create(name);
    if (!dir) return fail_as_is(std::move(dir));
    auto bpf = BpfDir::create(name);
    if (!bpf) return fail_as_is(std::move(bpf));
    auto notify = NotifySocket::bind(*dir / "notify");
    if (!notify) return fail_as_is(std::move(notify));
    WeftNode node(std::string(name), std::move(ns), std::move(*dir), std::move(*bpf), std::move(*notify));
    const char *device = std::getenv("WEFT_POD_DEVICE");
    node.set_pod_device(device ? device : "veth");
    return node;
}

Status WeftNode::launch(const Options &options) {
    std::vector<std::string> argv{binary(options.program),
                                  "--etcd-endpoints=" + options.etcd_endpoint,
                                  "--iface=eth0",
                                  fmt::format("--ip-masq={}", options.ip_masq),
                                  "--run-dir=" + run_dir().string(),
                                  "--bpf-dir=" + bpf_dir().string(),
                                  "--subnet-file=" + subnet_file().string(),
                                  "--datapath=" + options.datapath,
                                  "--log-level=debug"};
    argv.insert(argv.end(), options.flags.begin(), options.flags.end());
    argv.insert(argv.begin(), options.under.begin(), options.under.end());
    // Whole suites under something else: `WEFT_UNDER="build/tests/weft_confined build/deploy/weftd.service"`.
    if (const char *under = std::getenv("WEFT_UNDER")) {
        const auto all = words(under);
        argv.insert(argv.begin(), all.begin(), all.end());
    }
    notify_.clear();
    auto env = options.env;
    env.push_back(notify_.env());
    auto started = ns_.spawn(std::move(argv), {.env = std::move(env)});
    if (!started) return fail_as_is(std::move(started));
    weftd_ = std::move(*started);
    return {};
}

Status WeftNode::start(const Options &options) {
    if (auto launched = launch(options); !launched) return launched;
    (void)wait_until([&] { return notify_.wait_for("READY=1", 0ms) || !weftd_->running(); }, 20s);
    if (!notify_.wait_for("READY=1", 0ms))
        return fail(fmt::format("{}: weftd is not ready: {}", name_, weftd_->describe()));
    return {};
}

Status WeftNode::stop() {
    if (!weftd_) return fail("weftd was not started");
    if (auto sent = weftd_->signal(SIGTERM); !sent) return sent;
    const auto code = weftd_->wait(10s);
    if (code != 0) return fail("weftd does not end with 0 on SIGTERM: " + weftd_->describe());
    return {};
}

void WeftNode::kill() {
    if (weftd_) weftd_->kill();
}

Status WeftNode::wait_for_leases(std::size_t expected, std::chrono::milliseconds timeout) {
    std::string last;
    const bool done = wait_until(
        [&] {
            const auto leases = weftctl("leases");
            last = leases ? leases->dump() : leases.error().sentence();
            return leases && leases->size() == expected;
        },
        timeout, 20ms);
    if (done) return {};
    return fail(
        fmt::format("{}: expected {} leases, has {}\n{}", name_, expected, last, weftd_ ? weftd_->describe() : ""));
}

Result<std::string> WeftNode::base_address(Family family) const {
    const auto text = read_file(subnet_file());
    if (!text) return std::unexpected(text.error());
    const auto *variable = family == Family::v4 ? "FLANNEL_SUBNET" : "FLANNEL_IPV6_SUBNET";
    const auto subnet = parse_net(env_value(*text, variable).value_or(""));
    if (!subnet) return fail(fmt::format("{}: {}", subnet_file().string(), *text));
    return subnet->canonical().address().to_string();
}

std::string WeftNode::cni_config() const {
    return nlohmann::json{{"cniVersion", "1.0.0"},       {"name", "cbr0"},       {"type", "weft"},
                          {"subnetFile", subnet_file()}, {"runDir", run_dir()},  {"bpfDir", bpf_dir()},
                          {"dataDir", dir_ / "cni"},     {"device", pod_device_}}
        .dump();
}

Result<std::string> WeftNode::cni(std::string_view command, const std::string &container_id,
                                  const std::string &pod_netns) const {
    auto out =
        ns_.run({binary("weft")}, {.env = {fmt::format("CNI_COMMAND={}", command), "CNI_CONTAINERID=" + container_id,
                                           "CNI_NETNS=" + pod_netns, "CNI_IFNAME=eth0",
                                           "CNI_PATH=" + std::filesystem::path(binary("weft")).parent_path().string()},
                                   .input = cni_config()});
    if (!out) return fail_in(std::move(out), fmt::format("CNI {}", command));
    return out;
}

Result<Pod *> WeftNode::add_pod() {
    const auto id = fmt::format("{}-pod{}", name_, ++pods_made_);
    auto ns = Netns::create(id);
    if (!ns) return fail_as_is(std::move(ns));
    auto out = cni("ADD", id, ns->path());
    if (!out) return fail_as_is(std::move(out));
    const auto result = nlohmann::json::parse(*out, nullptr, false);
    if (!result.is_object() || !result.contains("ips")) return fail("CNI ADD said: " + *out);
    std::string address, address6;
    for (const auto &ip : result["ips"]) {
        const auto cidr = parse_net(ip.value("address", ""));
        if (!cidr) return fail("CNI ADD said: " + *out);
        (cidr->is_v4() ? address : address6) = cidr->address().to_string();
    }
    auto server = serve_traffic(*ns);
    if (!server) return fail_as_is(std::move(server));
    pods_.push_back({std::move(*ns), id, std::move(address), std::move(*server), std::move(address6)});
    return &pods_.back();
}

Status WeftNode::del_pod(Pod &pod) {
    auto out = cni("DEL", pod.container_id, pod.ns.path());
    if (!out) return fail_as_is(std::move(out));
    pods_.remove_if([&](const Pod &p) { return &p == &pod; });
    return {};
}

Result<nlohmann::json> WeftNode::weftctl(std::string_view command) const {
    auto out = ns_.run({binary("weftctl"), std::string(command), "--json", "--run-dir=" + run_dir().string(),
                        "--bpf-dir=" + bpf_dir().string()});
    if (!out) return fail_as_is(std::move(out));
    auto json = nlohmann::json::parse(*out, nullptr, false);
    if (json.is_discarded()) return fail(fmt::format("weftctl {} said: {}", command, *out));
    return json;
}

Result<CounterReading> WeftNode::counters() const {
    auto rows = weftctl("counters");
    if (!rows) return fail_as_is(std::move(rows));
    CounterReading reading;
    for (const auto &row : *rows) {
        const auto name = fmt::format("{}/{}", row.value("program", "?"), row.value("reason", "?"));
        const auto packets = row.value("packets", std::uint64_t{0});
        reading.all[name] = packets;
        if (row.value("verdict", "") == "drop") reading.dropped[name] = packets;
    }
    return reading;
}

} // namespace weft::test
