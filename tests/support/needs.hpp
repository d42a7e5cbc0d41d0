// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace weft::test {

/// Each says why a test cannot run here, or nothing.
[[nodiscard]] std::optional<std::string> requires_root();
[[nodiscard]] std::optional<std::string> requires_netns(); ///< root, and namespaces can be made
[[nodiscard]] std::optional<std::string> requires_bpffs(); ///< root, and /sys/fs/bpf is a BPF filesystem
[[nodiscard]] std::optional<std::string> requires_tools(std::initializer_list<std::string_view> names);
/// An executable of this build, under build/bin, or in $WEFT_BIN_DIR.
[[nodiscard]] std::optional<std::string> requires_binary(std::string_view name);

/// Path of an executable of this build: "weftd", "weft", "weftctl".
[[nodiscard]] std::string binary(std::string_view name);

} // namespace weft::test

/// Skips the test, saying why: `WEFT_REQUIRES(requires_netns());`
#define WEFT_REQUIRES(need)                                                                                            \
    if (auto weft_reason = (need)) GTEST_SKIP() << *weft_reason

/// Fails the test with the error's sentence: `WEFT_ASSERT_OK(ns.ip("link set lo up"));`
#define WEFT_ASSERT_OK(expression)                                                                                     \
    if (auto &&weft_result = (expression); !weft_result) FAIL() << #expression ": " << weft_result.error().sentence()
#define WEFT_EXPECT_OK(expression)                                                                                     \
    if (auto &&weft_result = (expression); !weft_result)                                                               \
    ADD_FAILURE() << #expression ": " << weft_result.error().sentence()

#define WEFT_TEST_CONCAT_(a, b) a##b
#define WEFT_TEST_CONCAT(a, b) WEFT_TEST_CONCAT_(a, b)
/// Moves the value out of a Result or fails the test: `WEFT_ASSERT_ASSIGN(auto ns, Netns::create("a"));`
#define WEFT_ASSERT_ASSIGN(target, expression)                                                                         \
    auto WEFT_TEST_CONCAT(weft_value_, __LINE__) = (expression);                                                       \
    if (!WEFT_TEST_CONCAT(weft_value_, __LINE__))                                                                      \
        FAIL() << #expression ": " << WEFT_TEST_CONCAT(weft_value_, __LINE__).error().sentence();                      \
    target = std::move(*WEFT_TEST_CONCAT(weft_value_, __LINE__))
