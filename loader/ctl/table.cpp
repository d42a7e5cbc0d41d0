// SPDX-License-Identifier: Apache-2.0
#include "ctl/table.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weft::ctl {
namespace {

void append_cell(std::string &line, const std::string &cell, std::size_t width, Align align, bool last) {
    const std::string padding(width - cell.size(), ' ');
    if (align == Align::right) line += padding;
    line += cell;
    if (align == Align::left && !last) line += padding;
    if (!last) line += "  ";
}

} // namespace

void Table::add(std::vector<std::string> cells) {
    assert(cells.size() == columns_.size());
    for (auto &cell : cells)
        if (cell.empty()) cell.push_back('-');
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = columns_[i].title.size();
        for (const auto &row : rows_) width = std::max(width, row[i].size());
        widths.push_back(width);
    }
    std::string text;
    const auto append_line = [&](const auto &cell_of) {
        for (std::size_t i = 0; i < columns_.size(); ++i)
            append_cell(text, cell_of(i), widths[i], columns_[i].align, i + 1 == columns_.size());
        text += '\n';
    };
    append_line([&](std::size_t i) -> const std::string & { return columns_[i].title; });
    for (const auto &row : rows_) append_line([&](std::size_t i) -> const std::string & { return row[i]; });
    return text;
}

std::string json_text(const nlohmann::ordered_json &document) {
    return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

nlohmann::ordered_json text_or_null(const std::string &text) {
    return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

} // namespace weft::ctl
