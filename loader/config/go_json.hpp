// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace weft {

/// Compares as Go's decoder matches field names: without case (ASCII; field names have nothing else).
struct NoCaseLess {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const {
        const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
        return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                            [&](char x, char y) { return lower(x) < lower(y); });
    }
};

template <class Key, class Value, class, class Allocator> using NoCaseMap = std::map<Key, Value, NoCaseLess, Allocator>;

/// JSON whose objects look keys up without case, at every depth. "network" and "Network" in one object are the same
/// key, and the last one read stays: what Go's encoding/json does when it fills a struct.
using GoJson = nlohmann::basic_json<NoCaseMap>;

/// Any JSON document; a syntax error says where.
[[nodiscard]] Result<GoJson> parse_go_json(std::string_view text);

/// A document that must be an object.
[[nodiscard]] Result<GoJson> parse_go_object(std::string_view text);

/// Stores object[key] in `out` if it is there and not null, as Go does for plain fields; a value of another type is an
/// error that names key and value.
[[nodiscard]] Status take(const GoJson &object, const char *key, bool &out);
[[nodiscard]] Status take(const GoJson &object, const char *key, std::string &out);
[[nodiscard]] Status take(const GoJson &object, const char *key, std::int64_t &out);
[[nodiscard]] Status take(const GoJson &object, const char *key, std::uint64_t &out);

/// A value for a message: compact JSON, shortened when long.
[[nodiscard]] std::string excerpt(const GoJson &value);

} // namespace weft
