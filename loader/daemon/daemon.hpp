// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/logger.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "ctl/control_socket.hpp"
#include "daemon/abandoned.hpp"
#include "daemon/drop_history.hpp"
#include "daemon/flags.hpp"
#include "daemon/health.hpp"
#include "daemon/kernel.hpp"
#include "daemon/pace.hpp"
#include "daemon/pulse_watch.hpp"
#include "daemon/reconcile.hpp"
#include "daemon/subnet_file.hpp"
#include "daemon/uplink.hpp"
#include "firewall/monitor.hpp"
#include "lease/lease_manager.hpp"
#include "net/monitor.hpp"
#include "net/too_big_monitor.hpp"

namespace weft {

/// weftd between its inputs and its reconciler: who calls, when, and who is told.
///
/// Contract: events of etcd, of the kernel, of timers and of operators edit the reconciler's inputs and schedule one
/// apply(); after each apply() subnet.env, systemd and the log are told what is new. On SIGTERM or SIGINT the loop ends
/// with the lease kept and everything in the kernel left as it is.
/// Threads: the io_context's; the LeaseManager's threads are its own.
class Daemon {
public:
    Daemon(asio::io_context &io, Options options, Uplink uplink, Kernel &kernel);
    ~Daemon();
    Daemon(const Daemon &) = delete;
    Daemon &operator=(const Daemon &) = delete;

    /// Takes the run directory's lock, listens, and asks etcd for the configuration.
    [[nodiscard]] Status start();
    /// After the io_context has ended: 0, or 1 if something ended it that a restart may not mend.
    [[nodiscard]] int exit_code() const { return exit_code_; }
    /// For the control socket; fields are documented in README.md.
    [[nodiscard]] nlohmann::json status() const;

private:
    [[nodiscard]] nlohmann::json audit(bool repair);
    [[nodiscard]] HealthServer::Report health() const;

    // daemon_lease.cpp
    [[nodiscard]] LeaseEvents lease_events();
    void on_config(const NetConf &conf);
    void on_acquired(const Lease &own);
    void on_lost(const Error &why);
    /// Empty if it can be worked with.
    [[nodiscard]] std::string why_unusable(const NetConf &conf, const BackendConf &backend, const Uplink &uplink) const;
    void keep_known_mac();
    void on_taken_over();
    void request_lease(std::optional<Subnet> previous);
    [[nodiscard]] bool has_pods();
    void look_whether_pods_are_gone();

    // daemon_network.cpp
    void on_change(const net::NetworkChange &change);
    [[nodiscard]] Result<Uplink> choose_uplink(const HostNetwork &network, const NetConf &conf);
    void refresh_uplink();
    void set_uplink(const Uplink &uplink);
    void move_to(const Uplink &uplink);

    void full_resync();
    void on_pulse(const PulseWatch::Change &change);
    void wait_for_audit();
    void sample_drops();
    void watch_rules();
    void wait_for_rules_poll();
    void check_rules_soon();
    void wait_for_signal();
    void schedule();
    void schedule(std::chrono::steady_clock::duration gather);
    void apply();
    void publish();
    void write_env(const ClusterView &view);
    void tell(); ///< the log and systemd, what is new
    void stop(int exit_code);

    asio::io_context &io_;
    const Options options_;
    Uplink uplink_;
    Kernel &kernel_;
    std::shared_ptr<spdlog::logger> log_, etcd_log_, reconcile_log_;
    Reconciler reconciler_;
    asio::signal_set signals_;
    asio::steady_timer apply_timer_, audit_timer_, rules_poll_timer_, rules_check_timer_, drops_timer_;
    UniqueFd claim_; ///< on this network namespace
    std::optional<ControlServer> control_;
    std::optional<HealthServer> health_;
    std::optional<net::NetworkMonitor> monitor_;
    std::optional<net::TooBigMonitor> too_big_monitor_;
    std::optional<RuleMonitor> rule_monitor_;
    PulseWatch pulse_;
    std::uint64_t repairs_seen_ = 0; ///< reconciler_.repairs() at the last pulse
    std::size_t comparisons_seen_ = 0;
    std::optional<LeaseManager> leases_;

    std::optional<NetConf> conf_;
    BackendConf backend_;
    DropHistory drops_;
    std::optional<Mac> flannels_mac6_; ///< what peers go on being told for IPv6 until weft.1 is in its place
    std::optional<Subnet> previous_;   ///< of an earlier run
    std::optional<Subnet> own_;
    std::string lost_; ///< why our subnet is ours no more, while pods still live there
    SubnetFile subnet_file_;
    AbandonedReservations abandoned_;
    std::string etcd_said_, uplink_said_, systemd_status_;
    NodeState state_ = NodeState::waiting_config;
    std::chrono::system_clock::time_point started_at_, state_since_;
    Pace pace_; ///< of applies
    std::chrono::steady_clock::time_point rules_checked_at_;
    bool rules_check_pending_ = false;
    bool scheduled_ = false, told_ready_ = false;
    int exit_code_ = 0;
};

} // namespace weft
