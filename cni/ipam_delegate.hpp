// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cni/ipam.hpp"

namespace weft::cni {

/// Another plugin as IPAM, by the specification's delegation: found in CNI_PATH, run with weft's own environment and
/// configuration, its result taken, its error passed on. For host-local the ranges are this node's subnets, as flannel has it.
class DelegatedIpam final : public Ipam {
public:
    explicit DelegatedIpam(const Context &context) : context_(context) {}

    Outcome<CniResult> add() override;
    Done del() override;
    Done check() override;
    Done status() override;
    Outcome<std::vector<Attachment>> gc() override;
    std::vector<Ip> known_addresses() override { return {}; }

private:
    enum class Ranges { required, if_known };

    [[nodiscard]] Outcome<std::string> run(Command command, Ranges ranges) const;
    [[nodiscard]] Outcome<std::string> configuration(Ranges ranges) const;

    const Context &context_;
};

} // namespace weft::cni
