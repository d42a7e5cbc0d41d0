// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "etcd_server.hpp"

namespace weft::test {

/// A certificate authority, a server's certificate for 127.0.0.1 and a client's.
class Tls : public ::testing::Test {
protected:
    void SetUp() override {
        auto dir = TempDir::create("tls");
        ASSERT_TRUE(dir);
        dir_.emplace(std::move(*dir));
        ASSERT_TRUE(
            openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca "
                    "-keyout ca.key -out ca.pem"));
        issue("server", "subjectAltName=IP:127.0.0.1");
        issue("client", "extendedKeyUsage=clientAuth");
    }
    void issue(const std::string &name, const std::string &extension) {
        ASSERT_TRUE(write_file(*dir_ / (name + ".ext"), extension + "\n"));
        ASSERT_TRUE(openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=" + name +
                            " -keyout " + name + ".key -out " + name + ".csr"));
        ASSERT_TRUE(openssl("x509 -req -days 2 -in " + name +
                            ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile " + name + ".ext -out " + name +
                            ".pem"));
    }
    bool openssl(const std::string &arguments) {
        const auto done = run_ok(words("openssl " + arguments), {.cwd = dir_->path()});
        if (!done) ADD_FAILURE() << done.error().sentence();
        return done.has_value();
    }
    std::string file(const std::string &name) { return (*dir_ / name).string(); }
    EtcdOptions server(bool mutual) {
        EtcdOptions options{.scheme = "https",
                            .extra_args = {"--cert-file=" + file("server.pem"), "--key-file=" + file("server.key")},
                            .ctl_args = {"--cacert=" + file("ca.pem")}};
        if (mutual) {
            options.extra_args.insert(options.extra_args.end(),
                                      {"--client-cert-auth", "--trusted-ca-file=" + file("ca.pem")});
            options.ctl_args.insert(options.ctl_args.end(),
                                    {"--cert=" + file("client.pem"), "--key=" + file("client.key")});
        }
        return options;
    }
    std::optional<TempDir> dir_;
};

} // namespace weft::test
