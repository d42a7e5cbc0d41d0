// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <optional>
#include <string>

#include "etcd_server.hpp"
#include "process.hpp"

namespace weft::test {

/// A TCP connection to an etcd that a test can cut, freeze and restore (socat).
class Relay {
public:
    [[nodiscard]] static Result<Relay> to(const EtcdServer &etcd);

    [[nodiscard]] std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
    Status open();
    void cut();    ///< closes every connection and refuses new ones
    void freeze(); ///< keeps connections open, and passes nothing on

private:
    Relay(std::uint16_t port, std::uint16_t etcd_port) : port_(port), etcd_port_(etcd_port) {}
    std::uint16_t port_, etcd_port_;
    std::optional<Process> socat_;
};

} // namespace weft::test
