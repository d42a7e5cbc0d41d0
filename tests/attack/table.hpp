// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace weft::attack {

/// How many packets of each kind reached a pod or a host; what was not tried is absent.
using Reached = std::map<std::string, std::uint64_t, std::less<>>;

/// The tables of docs/security.md. What flannel's node let through is measured, the rest is the kinds' own.
[[nodiscard]] std::string segment_table(const Reached &flannel_vxlan, const Reached &flannel_host_gw);
[[nodiscard]] std::string remaining_table();
[[nodiscard]] std::string pod_table(const Reached &flannel);

/// A generated part of a page, between "<!-- name: begin, generated -->" and "<!-- name: end -->".
class PageBlock {
public:
    /// @param name "attacks", ...
    PageBlock(std::string path, std::string_view name);

    [[nodiscard]] bool found() const { return found_; }
    [[nodiscard]] std::string text() const { return page_.substr(from_, size_); }
    void write(const std::string &text) const;
    /// The numbers in column `n` of a table of kinds, counted from 0.
    [[nodiscard]] Reached column(std::size_t n) const;

private:
    std::string path_, page_;
    std::size_t from_ = 0, size_ = 0;
    bool found_ = false;
};

} // namespace weft::attack
