// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "base/error.hpp"
#include "config/checks.hpp"
#include "datapath/features.hpp"
#include "map_ref.hpp"

namespace weft {

/// Where the outer header is popped: `--datapath`.
enum class DatapathMode { automatic, tc, xdp };

/// What one load of the programs is made for. A change in any of it is a new load, which replaces the old one in place.
struct DatapathConfig {
    std::vector<Net> networks; ///< the cluster's pod network, at most one of each family, as below
    std::vector<Net> subnets;  ///< this node's lease
    std::vector<Ip> nodes;     ///< this node's outer addresses
    Mac vtep_mac;              ///< weft.1's
    std::uint16_t port = WEFT_DEFAULT_PORT;
    std::uint16_t udp_port = WEFT_DEFAULT_UDP_PORT; ///< of encapsulation udp
    std::uint8_t encaps = 1U << WEFT_ENCAP_VXLAN;   ///< those taken from the wire: bit 1 << weft_encap
    std::uint32_t vni = WEFT_DEFAULT_VNI;
    std::uint32_t max_leases = 1024; ///< how many subnets the network can hold: sizes leases, nodes and lease_stats
    int uplink_ifindex = 0;
    int vtep_ifindex = 0; ///< weft.1
    DatapathMode mode = DatapathMode::automatic;
    bool fast_path = true; ///< false: the programs check senders and leave the rest to the host stack
    CheckModes checks;
    std::filesystem::path bpf_dir = "/sys/fs/bpf/weft";
};

/// What changes without a word from the kernel, in numbers that stay the same as long as it does not.
struct DatapathFingerprint {
    std::uint64_t maps = 0;        ///< leases, nodes, state: the sum of theirs
    std::uint64_t endpoints = 0;   ///< which pods there are, and what they are allowed
    std::uint64_t attachments = 0; ///< programs on hooks, and pins

    bool operator==(const DatapathFingerprint &) const = default;
};

/// The BPF half of a node: programs and maps, loaded, pinned and attached.
///
/// Contract: `load()` reuses maps that are pinned under bpf_dir, so entries and counters survive; maps of another layout have
/// other names there (WEFT_ABI_VERSION) and are left alone. `attach()` puts the programs on the uplink, weft.1 and every pod
/// veth of ours in place of older versions, one atomic swap per hook, puts back pins that are missing, and then removes the
/// pins of other layouts, which nobody reads any more. The destructor closes fds and detaches nothing: pins and attachments
/// keep forwarding.
/// Threads: any one at a time. Must run in the network namespace of the uplink.
/// Errors: name the program, map or link; the verifier's log goes to the log at debug level.
class Datapath {
public:
    [[nodiscard]] static Result<Datapath> load(const DatapathConfig &config);

    /// Idempotent: puts back whatever is missing and says so.
    /// @return one line for each attachment or pin that was made, replaced or removed; empty when everything was in place.
    [[nodiscard]] Result<std::vector<std::string>> attach();

    /// The part of attach() that is weft.1's, for a weft.1 that is about to go up in another device's place.
    [[nodiscard]] Status attach_vtep();

    /// What attach() would make, a line each. Changes nothing.
    [[nodiscard]] Result<std::vector<std::string>> missing() const;

    /// The mode in force once attached: tc or xdp.
    [[nodiscard]] DatapathMode mode() const;

    /// What this kernel, or once attached the uplink's driver, made this do in another way than it would.
    [[nodiscard]] std::vector<datapath::Lack> lacks() const;

    [[nodiscard]] Result<DatapathFingerprint> fingerprint() const;

    /// A loaded program, for BPF_PROG_RUN; -1 for one that this mode does not load.
    [[nodiscard]] int program_fd(weft_hook hook) const;

    [[nodiscard]] maps::MapRef<weft_lease_key, weft_lease> leases() const;
    [[nodiscard]] maps::MapRef<weft_ip, weft_node> nodes() const;
    [[nodiscard]] maps::MapRef<weft_ip, weft_endpoint> endpoints() const;
    [[nodiscard]] maps::MapRef<weft_allowed_key, __u8> allowed() const;
    [[nodiscard]] maps::MapRef<__u32, weft_state> state() const;
    /// Zeroes slots of lease_stats on every CPU, for leases that are given them anew.
    [[nodiscard]] Status clear_lease_stats(const std::vector<__u32> &slots) const;

    Datapath(Datapath &&) noexcept;
    Datapath &operator=(Datapath &&) noexcept;
    ~Datapath();

private:
    struct Impl;
    explicit Datapath(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace weft
