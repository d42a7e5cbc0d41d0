// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/ip/address.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "config/backend.hpp"
#include "datapath/datapath.hpp"
#include "etcd/options.hpp"
#include "firewall/host_rules.hpp"

namespace weft {

/// How the uplink is chosen: flannel's flags, in flannel's order of trying.
struct UplinkFlags {
    std::vector<std::string> ifaces;        ///< --iface: names or addresses; the first that resolves wins
    std::vector<std::string> iface_regexes; ///< --iface-regex: RE2, unanchored
    std::optional<Ip> can_reach;            ///< --iface-can-reach
    std::optional<Ip4> public_ip;           ///< --public-ip: what peers are told
    std::optional<Ip6> public_ipv6;         ///< --public-ipv6

    [[nodiscard]] bool names_an_interface() const {
        return !ifaces.empty() || !iface_regexes.empty() || can_reach.has_value();
    }
};

/// Everything weftd is told from outside, defaults included. A value: nothing reads the environment later.
struct Options {
    EtcdOptions etcd{.endpoints = {"http://127.0.0.1:4001", "http://127.0.0.1:2379"}};
    UplinkFlags uplink;
    std::filesystem::path subnet_file = "/run/flannel/subnet.env";
    std::chrono::minutes renew_margin{60};
    bool ip_masq = false;
    bool masq_random_ports = true; ///< false with --ip-masq-fully-random-disable
    bool forward_rules = true;     ///< --iptables-forward-rules
    std::chrono::seconds rules_resync{5};
    FirewallChoice firewall = FirewallChoice::automatic;
    asio::ip::address healthz_ip;   ///< 0.0.0.0
    std::uint16_t healthz_port = 0; ///< 0: no HTTP server
    std::filesystem::path run_dir = "/run/weft";
    std::filesystem::path bpf_dir = "/sys/fs/bpf/weft";
    std::string log_level = "info"; ///< debug, info, warn or error
    DatapathMode datapath = DatapathMode::automatic;
    bool fast_path = true;              ///< --fast-path
    CheckModes checks;                  ///< --check
    std::set<weft_encap> peer_backends; ///< whose leases are used beside those of the configured Backend
};

struct ParsedFlags {
    Options options;
    std::vector<std::string> warnings; ///< one line each: flags that were accepted but mean nothing to weft
};

/// --help or --version: print to stdout and exit 0.
struct PrintAndExit {
    std::string text;
};

using EnvLookup = std::function<std::optional<std::string>(const std::string &name)>;

/// Command line, environment and --config file, in this order of precedence, into options.
///
/// Go's flag syntax: one dash or two, `-name=value` or `-name value`, booleans bare or with `=`. The environment's names
/// are WEFT_<FLAG> and FLANNELD_<FLAG> (upper case, "-" is "_"); WEFT_ wins; an empty value counts as unset.
/// @param args without the program's own name.
/// Errors: one sentence naming the flag (and the variable it came from), what was found and what was expected.
[[nodiscard]] Result<std::variant<ParsedFlags, PrintAndExit>> parse_flags(std::span<const std::string> args,
                                                                          const EnvLookup &env);

} // namespace weft
