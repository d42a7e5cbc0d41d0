// SPDX-License-Identifier: Apache-2.0
// The packet path's arithmetic, compiled natively.
#include "bpf/lib/csum.h"
#include "bpf/lib/ecn.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

namespace {

std::uint16_t reference_checksum(const iphdr &header) {
    std::array<std::uint16_t, 10> words{};
    std::memcpy(words.data(), &header, sizeof(header));
    words[5] = 0;
    std::uint32_t sum = 0;
    for (const auto word : words) sum += word;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

iphdr random_header(std::mt19937 &random) {
    std::array<std::uint32_t, 5> words{};
    for (auto &word : words) word = static_cast<std::uint32_t>(random());
    iphdr header{};
    std::memcpy(&header, words.data(), sizeof(header));
    return header;
}

TEST(Csum, HeaderSumIsRfc1071) {
    std::mt19937 random(1);
    for (int i = 0; i < 100000; ++i) {
        auto header = random_header(random);
        ASSERT_EQ(ip4_header_csum(&header), reference_checksum(header));
        ASSERT_EQ(ip4_header_csum_ok(&header) != 0, header.check == reference_checksum(header));
        header.check = reference_checksum(header);
        ASSERT_TRUE(ip4_header_csum_ok(&header));
    }
}

// RFC 1071, section 3: the sum over 00 01 f2 03 f4 f5 f6 f7 is ddf2.
TEST(Csum, FoldIsRfc1071sExample) {
    EXPECT_EQ(csum_fold(0x0001u + 0xf203u + 0xf4f5u + 0xf6f7u), static_cast<std::uint16_t>(~0xddf2));
}

TEST(Csum, ReplacingAWordGivesTheSumOfTheNewHeader) {
    std::mt19937 random(2);
    for (int i = 0; i < 100000; ++i) {
        auto header = random_header(random);
        header.check = ip4_header_csum(&header);
        const auto old_id = header.id;
        header.id = static_cast<std::uint16_t>(random());
        const auto replaced = csum_replace16(header.check, old_id, header.id);
        // 0 and ffff are both zero in ones' complement (RFC 1624, section 3), and a receiver takes both.
        const auto summed = ip4_header_csum(&header);
        ASSERT_TRUE(replaced == summed || (replaced % 0xffff == 0 && summed % 0xffff == 0))
            << replaced << " " << summed;
    }
}

// RFC 6040, figure 4: rows inner Not-ECT, ECT(0), ECT(1), CE; columns outer likewise.
TEST(Ecn, DecapsulationIsRfc6040sTable) {
    const std::array codepoints{ECN_NOT_ECT, ECN_ECT_0, ECN_ECT_1, ECN_CE};
    const int expected[4][4] = {{ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, ECN_INVALID},
                                {ECN_ECT_0, ECN_ECT_0, ECN_ECT_1, ECN_CE},
                                {ECN_ECT_1, ECN_ECT_1, ECN_ECT_1, ECN_CE},
                                {ECN_CE, ECN_CE, ECN_CE, ECN_CE}};
    for (std::size_t inner = 0; inner < 4; ++inner)
        for (std::size_t outer = 0; outer < 4; ++outer)
            EXPECT_EQ(ecn_decapsulated(static_cast<std::uint8_t>(codepoints[outer] | 0xb8),
                                       static_cast<std::uint8_t>(codepoints[inner] | 0x28)),
                      expected[inner][outer])
                << "inner " << codepoints[inner] << " outer " << codepoints[outer];
}

TEST(Ecn, EncapsulationCopiesEcnAndNothingElse) {
    for (int tos = 0; tos < 256; ++tos) EXPECT_EQ(ecn_outer_tos(static_cast<std::uint8_t>(tos)), tos & 3);
}

} // namespace
