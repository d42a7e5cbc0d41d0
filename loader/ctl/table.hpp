// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace weft::ctl {

enum class Align { left, right };

struct Column {
    std::string title;
    Align align = Align::left;
};

/// Columns as wide as their longest cell, two spaces between them, no trailing space: for eyes, `awk` and `sort`.
class Table {
public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// One cell for each column. An empty cell is shown as "-", so that fields can be counted from either side.
    void add(std::vector<std::string> cells);

    [[nodiscard]] std::string text() const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

/// A document as `--json` prints it, with a newline at the end. Text that is no UTF-8 is replaced, not refused.
[[nodiscard]] std::string json_text(const nlohmann::ordered_json &document);

/// null for an empty text.
[[nodiscard]] nlohmann::ordered_json text_or_null(const std::string &text);

} // namespace weft::ctl
