// SPDX-License-Identifier: Apache-2.0
// docs/packet-paths.md says what the tested table and the reasons' list say.
//
//   WEFT_UPDATE_DOCS=1 build/tests/paths_doc_test      writes both into the page
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "abi.hpp"
#include "packet_paths.hpp"

namespace weft::test {
namespace {

std::string read_page() {
    std::ostringstream text;
    text << std::ifstream(WEFT_PACKET_PATHS_PAGE).rdbuf();
    return std::move(text).str();
}

std::string reasons_markdown() {
    std::string text;
    for (const auto &[verdict, title] : {std::pair{WEFT_CLASS_FORWARD, "forward: the fast path sent it on"},
                                         {WEFT_CLASS_STACK, "stack: the host's stack takes it from here"},
                                         {WEFT_CLASS_DROP, "drop"}}) {
        text += fmt::format("{}| {} | |\n|---|---|\n", text.empty() ? "" : "\n", title);
        for (const auto &info : abi::kReasons) {
            if (info.verdict == verdict) text += fmt::format("| `{}` | {} |\n", info.label, info.text);
        }
    }
    return text;
}

/// Compares the part of the page between two markers with `expected`, or writes it there.
void expect_block(std::string_view name, const std::string &expected) {
    auto page = read_page();
    const auto begin_mark = fmt::format("<!-- {}: begin, generated -->\n", name),
               end_mark = fmt::format("<!-- {}: end -->\n", name);
    const auto begin = page.find(begin_mark), end = page.find(end_mark);
    ASSERT_NE(begin, page.npos) << begin_mark;
    ASSERT_NE(end, page.npos) << end_mark;
    const auto from = begin + begin_mark.size();
    if (std::getenv("WEFT_UPDATE_DOCS")) {
        std::ofstream(WEFT_PACKET_PATHS_PAGE) << page.replace(from, end - from, expected);
        return;
    }
    EXPECT_EQ(page.substr(from, end - from), expected) << "WEFT_UPDATE_DOCS=1 build/tests/paths_doc_test writes it";
}

TEST(PacketPathsPage, HasTheTableThatIsTested) { expect_block("paths", packet_paths_markdown()); }
TEST(PacketPathsPage, HasEveryReason) { expect_block("reasons", reasons_markdown()); }

TEST(PacketPathsTable, TellsWhoCarriesAWay) {
    EXPECT_EQ(carried_by("1 from_pod/to_pod"), "fast");
    EXPECT_EQ(carried_by("1 from_pod/encap, 2 from_wire/decap_to_pod"), "fast, fast");
    EXPECT_EQ(carried_by("1 from_pod/not_pod_network, 1 from_host/encap, 2 from_wire/decap_to_pod"), "stack, fast");
    EXPECT_EQ(carried_by(""), "stack");
}

} // namespace
} // namespace weft::test
