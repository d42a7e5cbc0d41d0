// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace weft {

/// Where etcd is and who we are to it; the values of the --etcd-* flags.
struct EtcdOptions {
    /// "http://host:port" or "https://host:port"; without a scheme, TLS if cafile or certfile is set. Tried in order,
    /// the one that answered last first.
    std::vector<std::string> endpoints;
    std::string prefix = "/coreos.com/network"; ///< of every key
    std::string cafile;                         ///< PEM; with https and none given: the system's roots
    std::string certfile;                       ///< PEM; together with keyfile, for mutual TLS
    std::string keyfile;
    std::string username; ///< with password: etcd's own authentication
    std::string password;
    std::string password_file; ///< read for each authentication, in place of `password`; blanks at its end do not count
};

} // namespace weft
