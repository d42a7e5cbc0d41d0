// SPDX-License-Identifier: Apache-2.0
#include "table.hpp"

#include <charconv>
#include <fstream>
#include <span>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include "kinds.hpp"

namespace weft::attack {
namespace {

/// "`from_wire/outer_fragment`, `from_tunnel/unknown_sender`"
std::string counters_text(std::string_view counted) {
    std::string text;
    for (const auto &[counter, times] : counters_of(counted))
        text += fmt::format("{}`{}`", text.empty() ? "" : ", ", counter);
    return text;
}

std::string number(const Reached &reached, std::string_view kind) {
    const auto it = reached.find(kind);
    return it == reached.end() ? "" : std::to_string(it->second);
}

std::uint64_t sum(const Reached &reached) {
    std::uint64_t all = 0;
    for (const auto &[kind, packets] : reached) all += packets;
    return all;
}

std::vector<std::string> cells_of(const std::string &row) {
    std::vector<std::string> cells;
    std::istringstream text(row);
    std::string cell;
    std::getline(text, cell, '|'); // before the first
    while (std::getline(text, cell, '|')) {
        const auto first = cell.find_first_not_of(" `"), last = cell.find_last_not_of(" `");
        cells.push_back(first == cell.npos ? "" : cell.substr(first, last - first + 1));
    }
    return cells;
}

} // namespace

std::string segment_table(const Reached &flannel_vxlan, const Reached &flannel_host_gw) {
    std::string text = "| kind | what it is | flannel, vxlan | weft, vxlan | flannel, host-gw | weft, host-gw |\n"
                       "|---|---|---|---|---|---|\n";
    for (const auto &kind : segment_kinds())
        text += fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", kind.name, kind.text,
                            number(flannel_vxlan, kind.name), counters_text(kind.counted),
                            number(flannel_host_gw, kind.name), counters_text(kind.counted_direct));
    const auto all = segment_kinds().size() * packets_a_segment_kind();
    text +=
        fmt::format("| all | {} kinds, {} packets of each | {} of {} | 0 | {} of {} | 0 |\n", segment_kinds().size(),
                    packets_a_segment_kind(), sum(flannel_vxlan), all, sum(flannel_host_gw), all);
    return text;
}

std::string remaining_table() {
    std::string text = "| kind | what it is |\n|---|---|\n";
    for (const auto &kind : remaining_kinds()) text += fmt::format("| `{}` | {} |\n", kind.name, kind.text);
    return text;
}

std::string pod_table(const Reached &flannel) {
    std::string text = "| kind | what the pod sends | flannel | weft |\n|---|---|---|---|\n";
    for (const auto &kind : pod_kinds())
        text += fmt::format("| `{}` | {} | {} | {} |\n", kind.name, kind.text, number(flannel, kind.name),
                            counters_text(kind.counted));
    text += fmt::format("| all | {} kinds, {} packets of each | {} of {} | 0 |\n", pod_kinds().size(), kPacketsAPodKind,
                        sum(flannel), pod_kinds().size() * kPacketsAPodKind);
    return text;
}

PageBlock::PageBlock(std::string path, std::string_view name) : path_(std::move(path)) {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    page_ = std::move(text).str();
    const auto begin_mark = fmt::format("<!-- {}: begin, generated -->\n", name);
    const auto begin = page_.find(begin_mark), end = page_.find(fmt::format("<!-- {}: end -->\n", name));
    found_ = begin != page_.npos && end != page_.npos;
    if (!found_) return;
    from_ = begin + begin_mark.size();
    size_ = end - from_;
}

void PageBlock::write(const std::string &text) const {
    auto page = page_;
    std::ofstream(path_) << page.replace(from_, size_, text);
}

Reached PageBlock::column(std::size_t n) const {
    Reached numbers;
    std::istringstream rows(text());
    for (std::string row; std::getline(rows, row);) {
        const auto cells = cells_of(row);
        std::uint64_t value = 0;
        if (cells.size() <= n) continue;
        const auto *end = cells[n].data() + cells[n].size();
        if (const auto parsed = std::from_chars(cells[n].data(), end, value);
            parsed.ec == std::errc() && parsed.ptr == end)
            numbers[cells[0]] = value;
    }
    return numbers;
}

} // namespace weft::attack
