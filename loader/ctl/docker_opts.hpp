// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/env_file.hpp"
#include "net/route.hpp"

namespace weft::ctl {

/// `weftctl docker-opts`: dockerd's options for a bridge that lives in this node's subnet, as flannel's mk-docker-opts.sh
/// writes them for the `EnvironmentFile=` of docker.service: same options, same bytes.
struct DockerOptsRequest {
    std::filesystem::path subnet_file = "/run/flannel/subnet.env"; ///< -f
    std::filesystem::path output = "/run/docker_opts.env";         ///< -d
    std::string combined_key = "DOCKER_OPTS";                      ///< -k
    bool individual = false;                                       ///< -i; neither -i nor -c: both
    bool combined = false;                                         ///< -c
    bool without_ip_masq = false;                                  ///< -m
};

/// The file's text. @param subnet variables of subnet.env; one that is absent gives no option.
/// @param environment of the caller: its DOCKER_OPT_* are taken up in their alphabetical place, and what it has under
///        the combined key goes before the combined options.
/// Errors: a FLANNEL_IPMASQ other than true or false.
[[nodiscard]] Result<std::string> docker_opts_text(const DockerOptsRequest &request, const EnvVariables &subnet,
                                                   const EnvVariables &environment);

/// Why Docker could not have the subnet on its bridge: a route of the main table that leads all of it through a gateway.
/// @param subnet FLANNEL_SUBNET, empty if absent. Errors: it is no IPv4 CIDR; or the route, named.
[[nodiscard]] Status refuse_if_routed(const std::string &subnet, const std::vector<net::Route> &routes);

/// Reads, writes (in one step; what is no regular file is written to), then looks for such a route.
/// A subnet.env that is not there gives a file without options, as flannel's script does, and a remark.
/// @return remarks for stderr.
[[nodiscard]] Result<std::string> run_docker_opts(const DockerOptsRequest &request);

} // namespace weft::ctl
