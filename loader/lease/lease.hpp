// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"

namespace weft {

/// The pod prefixes that a node leases, one for each family that the cluster has, at least one: canonical (host bits zero).
struct Subnet {
    std::optional<Net4> v4;
    std::optional<Net6> v6;

    bool operator==(const Subnet &) const = default;
    std::weak_ordering operator<=>(const Subnet &other) const;
    [[nodiscard]] std::vector<Net> nets() const; ///< those that are there, IPv4 first
    /// Whether each part of `other` is a part of this one.
    [[nodiscard]] bool includes(const Subnet &other) const;
    [[nodiscard]] std::string to_string() const; ///< "10.5.34.0/24" or "10.5.34.0/24 fd00:0:0:5::/64", for messages
};

/// What a backend says of itself in a lease: any JSON, of which weft reads two fields. There are as many as there are nodes, so
/// the fields and the text are kept, and no tree.
class BackendData {
public:
    BackendData() = default;                 ///< null: none
    BackendData(std::nullptr_t) {}           // NOLINT(google-explicit-constructor)
    BackendData(const nlohmann::json &data); // NOLINT(google-explicit-constructor)
    BackendData(nlohmann::json::initializer_list_t data) : BackendData(nlohmann::json(data)) {} ///< as nlohmann::json

    [[nodiscard]] bool is_null() const { return text_.empty(); }
    [[nodiscard]] nlohmann::json to_json() const;
    /// As compact JSON; "" for null.
    [[nodiscard]] const std::string &text() const { return text_; }
    /// VtepMAC: of the node's vxlan device. Errors: it has none, or something else.
    [[nodiscard]] Result<Mac> vtep_mac() const;
    /// ZeroCsum6, a field of weft's own: the node takes VXLAN over IPv6 without a UDP checksum.
    [[nodiscard]] bool zero_csum6() const { return zero_csum6_; }

    bool operator==(const BackendData &other) const { return text_ == other.text_; }

private:
    std::string text_;
    std::optional<Mac> vtep_mac_;
    bool zero_csum6_ = false;
};

/// What a node says of itself in its lease.
struct LeaseAttrs {
    Ip4 public_ip; ///< 0.0.0.0: not said
    std::optional<Ip6> public_ipv6;
    std::string backend_type;    ///< "vxlan", "host-gw", ...; "" for flannel's udp and alloc
    BackendData backend_data;    ///< vxlan: {"VNI":1,"VtepMAC":"1e:3a:76:11:44:7f"}
    BackendData backend_v6_data; ///< the same
    /// The node has a subnet without IPv6 only because flannels without IPv6 hold leases, whom its full key would crash
    /// (README.md). A field of weft's own, "AwaitsIPv6", written only when true.
    bool awaits_ipv6 = false;

    /// PublicIP, else PublicIPv6, for messages.
    [[nodiscard]] std::string node() const;

    bool operator==(const LeaseAttrs &) const = default;
};

/// Whether two leases' values tell of one node: by PublicIP, as with flannel, or by PublicIPv6 where one of them has no
/// PublicIP. Flannel takes 0.0.0.0 for an address, and so an IPv6-only node any other's lease for its own.
[[nodiscard]] bool same_node(const LeaseAttrs &a, const LeaseAttrs &b);

struct Lease {
    Subnet subnet;
    LeaseAttrs attrs;

    bool operator==(const Lease &) const = default;
};

/// The last component of a lease's etcd key: "10.5.34.0-24", "10.5.34.0-24&fd00:0:0:5::-64", and without an IPv4 part, as
/// flannel writes it, "0.0.0.0-0&fd00:0:0:5::-64".
[[nodiscard]] std::string format_subnet_key(const Subnet &subnet);

/// The reverse, for exactly the spelling that format_subnet_key() and flannel write.
///
/// Flannel's own reader matches the tail of the key and keeps what it finds. Refused here, because each would give one
/// subnet two keys or one node everybody's traffic: anything before or after the text, host bits (10.5.34.7-24), other
/// spellings of the same prefix (-024, uncompressed or upper-case IPv6), IPv4 length 32, and length 0 but for the text above.
[[nodiscard]] Result<Subnet> parse_subnet_key(std::string_view text);

/// The value of a lease's etcd key: compact JSON in flannel's field order.
[[nodiscard]] std::string format_lease_value(const LeaseAttrs &attrs);

/// Reads such a value: field names match without case, unknown fields are ignored. A PublicIP that is absent reads as
/// 0.0.0.0; null or any other text is an error that names field and value.
[[nodiscard]] Result<LeaseAttrs> parse_lease_value(std::string_view json);

} // namespace weft
