// SPDX-License-Identifier: Apache-2.0
#include "lease/own_key.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

namespace weft {
namespace {

class OwnKeyTest : public testing::Test {
protected:
    void SetUp() override { std::filesystem::remove(file_); }
    void TearDown() override { std::filesystem::remove(file_); }

    const std::filesystem::path file_ =
        std::filesystem::path(testing::TempDir()) / ("own-key-" + std::to_string(::getpid()));
    const etcd::KeyValue ours_{.key = "/s/10.5.3.0-24", .value = "v", .mod_revision = 7};
};

TEST_F(OwnKeyTest, IsKnownAgainUntilAnybodyWritesIt) {
    EXPECT_FALSE(OwnKey(file_).is(ours_));
    OwnKey(file_).wrote(ours_.key, ours_.value, ours_.mod_revision);
    const OwnKey later(file_);
    EXPECT_TRUE(later.is(ours_));
    for (auto change : {+[](etcd::KeyValue &e) { e.key += "0"; }, +[](etcd::KeyValue &e) { e.value = "w"; },
                        +[](etcd::KeyValue &e) { ++e.mod_revision; }}) {
        auto other = ours_;
        change(other);
        EXPECT_FALSE(later.is(other)) << other.key << " " << other.value << " " << other.mod_revision;
    }
}

TEST_F(OwnKeyTest, ADamagedFileIsNoMemory) {
    for (const char *text : {"", "{", "[]", R"({"key":1})", R"({"key":"/s/10.5.3.0-24","value":"v","revision":"7"})"}) {
        std::ofstream(file_) << text;
        EXPECT_FALSE(OwnKey(file_).is(ours_)) << text;
    }
}

TEST_F(OwnKeyTest, WithoutAFileItLastsAsLongAsTheProcess) {
    OwnKey own;
    EXPECT_FALSE(own.is({}));
    own.wrote(ours_.key, ours_.value, ours_.mod_revision);
    EXPECT_TRUE(own.is(ours_));
}

} // namespace
} // namespace weft
