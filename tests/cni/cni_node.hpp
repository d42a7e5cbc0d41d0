// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "dirs.hpp"
#include "families.hpp"
#include "net/link.hpp"
#include "net/netlink.hpp"
#include "netns.hpp"
#include "pinned.hpp"
#include "process.hpp"

namespace weft::test {

using nlohmann::json;

/// What one run of a plugin said.
struct Answer {
    int exit_code = -1;
    std::string out, err;
    json body; ///< out as JSON; discarded if it is none

    [[nodiscard]] bool ok() const { return exit_code == 0; }
    [[nodiscard]] int code() const { return body.is_object() ? body.value("code", 0) : 0; }
    [[nodiscard]] std::string msg() const { return body.is_object() ? body.value("msg", "") : ""; }
    /// For the message of a failed assertion.
    [[nodiscard]] std::string text() const;
};

/// One run to be.
struct Call {
    std::string command = "ADD";
    std::string id = "pod1";
    std::string ifname = "eth0";
    std::string netns; ///< CNI_NETNS
    json conf;         ///< stdin
    std::vector<std::string> env = {};
    std::vector<std::string> under = {}; ///< a command that runs the plugin
};

/// What a plugin can leave on a node; equal to Traces{} when nothing is left.
struct Traces {
    std::vector<std::string> veths;     ///< names of weft* links
    std::vector<std::string> addresses; ///< files of the IPAM directory
    std::vector<std::string> notes;     ///< files of the run directory
    std::vector<std::string> endpoints; ///< addresses in the map
    std::vector<std::string> routes;    ///< weft's in the host's table

    bool operator==(const Traces &) const = default;
};
std::ostream &operator<<(std::ostream &out, const Traces &traces);

/// A node as weftd leaves it, without weftd: a namespace, subnet.env, the endpoint map with the contract's layout, and
/// in place of from_pod a program that only returns TC_ACT_UNSPEC. Makes the CNI tests independent of the packet path.
class CniNode {
public:
    static constexpr const char *kNetwork = "cbr0";

    /// The node's subnets are 10.244.86.0 of that prefix length, and fd00:244:0:86::/64.
    [[nodiscard]] static Result<CniNode> create(std::string_view name, Families families = Families::v4,
                                                unsigned prefix_len = 24);

    /// The plugin's configuration for this node.
    [[nodiscard]] json conf(std::string_view version = "1.1.0") const;

    /// Runs a plugin on the node. @param plugin path of the executable.
    [[nodiscard]] Answer run(const Call &call, const std::string &plugin) const;
    /// Runs build/bin/weft.
    [[nodiscard]] Answer weft(const Call &call) const;
    /// Runs build/bin/weft-testhooks with WEFT_TEST_FAIL_AT.
    [[nodiscard]] Answer weft_failing_at(Call call, const std::string &step) const;
    /// Starts build/bin/weft and does not wait for it.
    [[nodiscard]] Result<Process> start_weft(const Call &call) const;

    [[nodiscard]] Traces traces() const;
    [[nodiscard]] Result<maps::EndpointMap> endpoints() const {
        return maps::EndpointMap::open(bpf_.path(), WEFT_PIN_ENDPOINTS);
    }
    /// A socket in the node's namespace.
    [[nodiscard]] net::NlSocket socket() const { return socket_in(ns_.path()); }
    [[nodiscard]] static net::NlSocket socket_in(const std::string &netns);

    [[nodiscard]] const Netns &ns() const { return ns_; }
    [[nodiscard]] std::filesystem::path bpf_dir() const { return bpf_.path(); }
    [[nodiscard]] std::filesystem::path subnet_file() const { return dir_ / "subnet.env"; }
    [[nodiscard]] std::filesystem::path run_dir() const { return dir_ / "run"; }
    [[nodiscard]] std::filesystem::path data_dir() const { return dir_ / "networks"; }
    [[nodiscard]] std::filesystem::path ipam_dir() const { return data_dir() / kNetwork; }

private:
    CniNode(Netns ns, TempDir dir, BpfDir bpf) : ns_(std::move(ns)), dir_(std::move(dir)), bpf_(std::move(bpf)) {}
    Netns ns_;
    TempDir dir_;
    BpfDir bpf_;
};

} // namespace weft::test
