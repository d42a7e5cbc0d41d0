// SPDX-License-Identifier: Apache-2.0
#include "relay.hpp"

#include <fmt/format.h>

namespace weft::test {

Result<Relay> Relay::to(const EtcdServer &etcd) {
    auto port = free_port("127.0.0.1");
    if (!port) return fail_as_is(std::move(port));
    Relay relay(*port, etcd.port());
    if (auto opened = relay.open(); !opened) return fail_as_is(std::move(opened));
    return relay;
}

Status Relay::open() {
    auto socat = Process::spawn({"socat", "-d", "-d", fmt::format("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr,fork", port_),
                                 fmt::format("TCP:127.0.0.1:{}", etcd_port_)});
    if (!socat) return fail_as_is(std::move(socat));
    socat_ = std::move(*socat);
    if (!socat_->wait_for_output("listening on")) return fail("socat does not listen: " + socat_->describe(), EIO);
    return {};
}

void Relay::cut() {
    if (socat_) socat_->kill(); // the whole group: one child per connection
    socat_.reset();
}

void Relay::freeze() {
    if (socat_) ::kill(-socat_->pid(), SIGSTOP);
}

} // namespace weft::test
