// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cni/ipam.hpp"
#include "cni/run_plugin.hpp"

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

    [[nodiscard]] Outcome<PluginRun> run_to_end(Command command, Ranges ranges) const;
    [[nodiscard]] Outcome<std::string> run(Command command, Ranges ranges) const;
    [[nodiscard]] Outcome<std::string> configuration(Ranges ranges) const;
    void give_back();

    const Context &context_;
};

} // namespace weft::cni
