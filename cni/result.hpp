// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.hpp"
#include "cni/failure.hpp"
#include "cni/version.hpp"

namespace weft::cni {

/// A result's parts. Members that a version does not know are not written for it.
struct Interface {
    std::string name;
    std::string mac;
    unsigned mtu = 0;        ///< from 1.1.0
    std::string sandbox;     ///< path of the namespace; empty: the host's
    std::string socket_path; ///< from 1.1.0; others' plugins
    std::string pci_id;      ///< from 1.1.0; others' plugins

    bool operator==(const Interface &) const = default;
};

struct IpConfig {
    Net address; ///< with its prefix length
    std::optional<Ip> gateway;
    std::optional<std::size_t> interface; ///< index into interfaces

    bool operator==(const IpConfig &) const = default;
};

struct RouteConfig {
    Net destination; ///< host bits zero
    std::optional<Ip> gateway;
    unsigned mtu = 0; ///< this and the following: from 1.1.0
    unsigned advmss = 0;
    unsigned priority = 0;
    std::optional<std::uint32_t> table;
    std::optional<std::uint8_t> scope;

    bool operator==(const RouteConfig &) const = default;
};

struct Dns {
    std::vector<std::string> nameservers;
    std::string domain;
    std::vector<std::string> search;
    std::vector<std::string> options;

    [[nodiscard]] bool empty() const { return *this == Dns{}; }
    bool operator==(const Dns &) const = default;
};

/// What ADD prints, what prevResult holds, and what an IPAM plugin answers (that without interfaces). Before 0.3.0 there
/// are one address of each family and its routes only.
struct CniResult {
    std::vector<Interface> interfaces;
    std::vector<IpConfig> ips;
    std::vector<RouteConfig> routes;
    Dns dns;

    bool operator==(const CniResult &) const = default;
};

/// Whether the address is of the container's interface `ifname`.
[[nodiscard]] bool is_of(const CniResult &result, const IpConfig &ip, std::string_view ifname);

/// Reads a result of any version that weft speaks; @param what names it in an error ("prevResult").
/// Errors: kDecodeFailure, naming the key and its value.
[[nodiscard]] Outcome<CniResult> parse_result(const nlohmann::json &json, std::string_view what);
[[nodiscard]] Outcome<std::vector<RouteConfig>> parse_routes(const nlohmann::json &json, std::string_view what);
[[nodiscard]] Outcome<Dns> parse_dns(const nlohmann::json &json, std::string_view what);

/// The shape that `version` asks for.
[[nodiscard]] nlohmann::json to_json(const CniResult &result, Version version);

} // namespace weft::cni
