// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cni/failure.hpp"

namespace weft::cni {

/// Typed reading of one member of a JSON object without exceptions. `what` names the object in an error, "" for the
/// outermost; a missing member and null read alike.

[[nodiscard]] inline std::string shown(const nlohmann::json &value) {
    constexpr std::size_t kLongest = 80;
    std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (text.size() > kLongest) text.replace(kLongest, std::string::npos, "...");
    return text;
}

[[nodiscard]] inline std::unexpected<Failure> refuse_type(int code, std::string_view what, std::string_view key,
                                                          std::string_view expected, const nlohmann::json &found) {
    return refuse(code, fmt::format("{}{}{}: {} is expected, found {}", what, what.empty() ? "" : ".", key, expected,
                                    shown(found)));
}

/// The member, or nullptr if it is missing or null.
[[nodiscard]] inline const nlohmann::json *member(const nlohmann::json &object, const char *key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

[[nodiscard]] inline Outcome<std::string> read_string(const nlohmann::json &object, const char *key,
                                                      std::string_view what, int code) {
    const auto *value = member(object, key);
    if (!value) return std::string();
    if (!value->is_string()) return refuse_type(code, what, key, "a string", *value);
    return value->get_ref<const std::string &>();
}

[[nodiscard]] inline Outcome<std::optional<std::uint32_t>> read_unsigned(const nlohmann::json &object, const char *key,
                                                                         std::string_view what, int code) {
    const auto *value = member(object, key);
    if (!value) return std::nullopt;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max())
        return refuse_type(code, what, key, "an unsigned 32-bit number", *value);
    return value->get<std::uint32_t>();
}

[[nodiscard]] inline Outcome<std::vector<std::string>> read_strings(const nlohmann::json &object, const char *key,
                                                                    std::string_view what, int code) {
    std::vector<std::string> out;
    const auto *value = member(object, key);
    if (!value) return out;
    if (!value->is_array()) return refuse_type(code, what, key, "an array of strings", *value);
    for (const auto &item : *value) {
        if (!item.is_string()) return refuse_type(code, what, key, "an array of strings", *value);
        out.push_back(item.get_ref<const std::string &>());
    }
    return out;
}

/// The member as an object, or nullptr if it is missing or null.
[[nodiscard]] inline Outcome<const nlohmann::json *> read_object(const nlohmann::json &object, const char *key,
                                                                 std::string_view what, int code) {
    const auto *value = member(object, key);
    if (value && !value->is_object()) return refuse_type(code, what, key, "an object", *value);
    return value;
}

} // namespace weft::cni
