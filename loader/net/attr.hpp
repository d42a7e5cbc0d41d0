// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/addr.hpp"

namespace weft::net::attr {

/// AF_INET or AF_INET6, as messages' headers name it.
[[nodiscard]] inline std::uint8_t family_of(const Ip &addr) { return addr.is_v4() ? AF_INET : AF_INET6; }
/// Whether weft knows addresses of that family.
[[nodiscard]] inline bool is_ip_family(int family) { return family == AF_INET || family == AF_INET6; }

/// Attributes of rtnetlink messages in weft's types. Private to loader/net and to who builds messages of its own.
///
/// A message grows as needed, so that putting can only fail for lack of memory: that aborts, as everywhere else.
inline void check(int err) {
    if (err < 0) std::abort();
}

template <class Header> void put_header(nl_msg &msg, const Header &header) {
    check(nlmsg_append(&msg, const_cast<Header *>(&header), sizeof(header), NLMSG_ALIGNTO));
}
inline void put(nl_msg &msg, int type, std::uint32_t value) { check(nla_put_u32(&msg, type, value)); }
inline void put(nl_msg &msg, int type, const std::string &text) { check(nla_put_string(&msg, type, text.c_str())); }
inline void put(nl_msg &msg, int type, const Ip &addr) {
    const auto octets_of = [&](const auto &octets) {
        check(nla_put(&msg, type, static_cast<int>(octets.size()), octets.data()));
    };
    addr.is_v4() ? octets_of(addr.to_v4().to_bytes()) : octets_of(addr.to_v6().to_bytes());
}
inline void put(nl_msg &msg, int type, const Mac &mac) {
    check(nla_put(&msg, type, static_cast<int>(mac.bytes.size()), mac.bytes.data()));
}

/// A nested attribute, closed at the end of the scope.
class Nest {
public:
    Nest(nl_msg &msg, int type) : msg_(msg), start_(nla_nest_start(&msg, type)) {
        if (!start_) std::abort();
    }
    ~Nest() { check(nla_nest_end(&msg_, start_)); }
    Nest(const Nest &) = delete;
    Nest &operator=(const Nest &) = delete;

private:
    nl_msg &msg_;
    nlattr *start_;
};

/// The attributes of a received message by type; a missing or short one reads as the given default or as nothing.
template <int Max> class Attrs {
public:
    /// @param header_len bytes of the family's own header (sizeof(ifinfomsg), ...).
    Attrs(nlmsghdr &msg, int header_len) { valid_ = nlmsg_parse(&msg, header_len, table_.data(), Max, nullptr) >= 0; }
    explicit Attrs(nlattr *nest) { valid_ = nest && nla_parse_nested(table_.data(), Max, nest, nullptr) >= 0; }

    [[nodiscard]] bool valid() const { return valid_; }
    [[nodiscard]] nlattr *at(int type) const { return table_[static_cast<std::size_t>(type)]; }

    [[nodiscard]] std::uint32_t u32(int type, std::uint32_t missing = 0) const {
        const nlattr *a = at(type);
        return a && nla_len(a) >= 4 ? nla_get_u32(a) : missing;
    }
    [[nodiscard]] std::string text(int type) const {
        const nlattr *a = at(type);
        if (!a) return {};
        const auto *chars = static_cast<const char *>(nla_data(a));
        return std::string(chars, strnlen(chars, static_cast<std::size_t>(nla_len(a))));
    }
    /// Of the family that the attribute's length tells.
    [[nodiscard]] std::optional<Ip> ip(int type) const {
        if (Ip4::bytes_type octets; copy(type, octets)) return Ip4(octets);
        if (Ip6::bytes_type octets; copy(type, octets)) return Ip6(octets);
        return std::nullopt;
    }
    [[nodiscard]] std::optional<Mac> mac(int type) const {
        Mac mac;
        if (!copy(type, mac.bytes)) return std::nullopt;
        return mac;
    }

private:
    template <class Octets> bool copy(int type, Octets &octets) const {
        const nlattr *a = at(type);
        if (!a || nla_len(a) != static_cast<int>(octets.size())) return false;
        std::memcpy(octets.data(), nla_data(a), octets.size());
        return true;
    }

    std::array<nlattr *, Max + 1> table_{};
    bool valid_ = false;
};

} // namespace weft::net::attr
