// SPDX-License-Identifier: Apache-2.0
#include "config/go_json.hpp"

#include <fmt/format.h>

namespace weft {
namespace {

std::unexpected<Error> wrong_type(const char *key, const GoJson &value, std::string_view wanted) {
    return fail(fmt::format("{}: {} is not {}", key, excerpt(value), wanted));
}

/// The value to read, or null when the field keeps what it has.
const GoJson *present(const GoJson &object, const char *key) {
    const auto it = object.find(key);
    return it == object.end() || it->is_null() ? nullptr : &*it;
}

} // namespace

Result<GoJson> parse_go_json(std::string_view text) try {
    // Copying and printing a document recurse: whoever may write to etcd must not be able to exhaust our stack.
    constexpr int kDeepest = 100;
    bool too_deep = false;
    const auto watch_depth = [&](int depth, GoJson::parse_event_t, GoJson &) {
        too_deep |= depth > kDeepest;
        return !too_deep;
    };
    auto document = GoJson::parse(text, watch_depth);
    if (too_deep) return fail(fmt::format("not JSON: nested more than {} deep", kDeepest));
    return document;
} catch (const GoJson::parse_error &error) {
    // what() begins with the library's own name and number for the error: not for users.
    std::string_view why = error.what();
    if (const auto end_of_id = why.find("] "); end_of_id != std::string_view::npos) why.remove_prefix(end_of_id + 2);
    return fail(fmt::format("not JSON: {}", why));
} catch (const std::exception &error) {
    return fail(fmt::format("not JSON: {}", error.what()));
}

Result<GoJson> parse_go_object(std::string_view text) {
    auto document = parse_go_json(text);
    if (document && !document->is_object()) return fail(fmt::format("{} is not a JSON object", excerpt(*document)));
    return document;
}

Status take(const GoJson &object, const char *key, bool &out) {
    const auto *value = present(object, key);
    if (!value) return {};
    if (!value->is_boolean()) return wrong_type(key, *value, "true or false");
    out = value->get<bool>();
    return {};
}

Status take(const GoJson &object, const char *key, std::string &out) {
    const auto *value = present(object, key);
    if (!value) return {};
    if (!value->is_string()) return wrong_type(key, *value, "a string");
    out = value->get<std::string>();
    return {};
}

Status take(const GoJson &object, const char *key, std::int64_t &out) {
    const auto *value = present(object, key);
    if (!value) return {};
    const bool fits = !value->is_number_unsigned() || value->get<std::uint64_t>() <= std::uint64_t{INT64_MAX};
    if (!value->is_number_integer() || !fits) return wrong_type(key, *value, "an integer");
    out = value->get<std::int64_t>();
    return {};
}

Status take(const GoJson &object, const char *key, std::uint64_t &out) {
    const auto *value = present(object, key);
    if (!value) return {};
    if (!value->is_number_unsigned()) return wrong_type(key, *value, "an unsigned integer");
    out = value->get<std::uint64_t>();
    return {};
}

std::string excerpt(const GoJson &value) {
    constexpr std::size_t kLongest = 80;
    auto text = value.dump(-1, ' ', true, GoJson::error_handler_t::replace);
    if (text.size() > kLongest) text.replace(kLongest, std::string::npos, "...");
    return text;
}

} // namespace weft
