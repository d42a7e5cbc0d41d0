// SPDX-License-Identifier: Apache-2.0
#include "lease/own_key.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <utility>

namespace weft {

OwnKey::OwnKey(std::filesystem::path file) : file_(std::move(file)) {
    std::ifstream in(file_);
    const auto saved = nlohmann::json::parse(in, nullptr, /* allow_exceptions */ false);
    if (!saved.is_object()) return;
    const auto key = saved.find("key"), value = saved.find("value"), revision = saved.find("revision");
    if (key == saved.end() || value == saved.end() || revision == saved.end() || !key->is_string() ||
        !value->is_string() || !revision->is_number_integer())
        return;
    key_ = *key;
    value_ = *value;
    revision_ = *revision;
}

bool OwnKey::is(const etcd::KeyValue &entry) const {
    // The value too: another store, or this one restored from a backup, counts its revisions anew.
    return !key_.empty() && entry.key == key_ && entry.mod_revision == revision_ && entry.value == value_;
}

void OwnKey::wrote(std::string key, std::string value, std::int64_t revision) {
    key_ = std::move(key);
    value_ = std::move(value);
    revision_ = revision;
    if (!file_.empty()) save();
}

/// In one step, and without a word if it fails: then the file tells of an earlier write, which no key is at any more.
void OwnKey::save() const {
    const auto unfinished = file_.string() + ".new";
    std::ofstream out(unfinished, std::ios::trunc);
    out << nlohmann::json{{"key", key_}, {"value", value_}, {"revision", revision_}};
    out.close();
    std::error_code ignored;
    if (out) std::filesystem::rename(unfinished, file_, ignored);
}

} // namespace weft
