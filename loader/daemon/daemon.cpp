// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.hpp"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <csignal>

#include "daemon/log.hpp"
#include "daemon/memory.hpp"
#include "daemon/only_one.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kAuditInterval = 60s;
/// From a change of firewall rules to the look at ours, and between two looks: kube-proxy's bursts cost one each.
constexpr auto kRulesPause = 100ms;
constexpr auto kRulesInterval = 1s;
constexpr auto kDropsInterval = 10s;
constexpr auto kGather = 1ms; ///< what belongs together (a link and its addresses) arrives within

} // namespace

Daemon::Daemon(asio::io_context &io, Options options, Uplink uplink, Kernel &kernel)
    : io_(io), options_(std::move(options)), uplink_(std::move(uplink)), kernel_(kernel), log_(make_logger("daemon")),
      etcd_log_(make_logger("etcd")), reconcile_log_(make_logger("reconcile")),
      reconciler_(kernel, *reconcile_log_,
                  {options_.datapath, options_.bpf_dir, options_.peer_backends, options_.ip_masq,
                   options_.masq_random_ports, options_.forward_rules, options_.firewall, options_.fast_path,
                   options_.checks}),
      signals_(io), apply_timer_(io), audit_timer_(io), rules_poll_timer_(io), rules_check_timer_(io), drops_timer_(io),
      pulse_(
          io, kernel, [this]() -> const PulseWatch::Settings & { return reconciler_.settings(); },
          [this](const PulseWatch::Change &change) { on_pulse(change); }),
      subnet_file_(options_.subnet_file, log_), abandoned_(options_.run_dir, log_),
      started_at_(std::chrono::system_clock::now()), state_since_(started_at_) {
    reconciler_.set_uplink(uplink_);
}

Daemon::~Daemon() {
    // Threads of the manager post to the loop: they end before anything here does.
    if (leases_) leases_->stop();
}

Status Daemon::start() {
    auto control = ControlServer::listen(io_, options_.run_dir, [this](const nlohmann::json &request) {
        const auto command = request.value("command", nlohmann::json());
        if (command == "status") return status();
        if (command == "audit") return audit(request.value("repair", nlohmann::json()) == true);
        return nlohmann::json{{"error", fmt::format("no such command: {}", command.dump())}};
    });
    if (!control) return fail_as_is(std::move(control));
    control_.emplace(std::move(*control));
    auto claim = claim_network_namespace();
    if (!claim) return fail_as_is(std::move(claim));
    claim_ = std::move(*claim);
    if (options_.healthz_port != 0) {
        auto health =
            HealthServer::listen(io_, options_.healthz_ip, options_.healthz_port, [this] { return this->health(); });
        if (!health) return fail_as_is(std::move(health));
        health_.emplace(std::move(*health));
    }
    auto monitor = net::NetworkMonitor::start(
        io_, [this](const net::NetworkChange &change) { on_change(change); },
        [this] {
            log_->warn("changes of the network came faster than they could be read: looking at everything");
            full_resync();
        });
    if (!monitor) return fail_as_is(std::move(monitor));
    monitor_.emplace(std::move(*monitor));
    if (auto too_big = net::TooBigMonitor::start(io_, [this] {
            reconciler_.forget_next_hops(); // with the MTU of the way there
            schedule();
        }))
        too_big_monitor_.emplace(std::move(*too_big));
    else if (too_big.error().code() != EAFNOSUPPORT)
        return fail_as_is(std::move(too_big));
    wait_for_signal();
    wait_for_audit();
    watch_rules();
    sample_drops();
    pulse_.start();
    log_->info("weftd " WEFT_VERSION " starts uplink={} public_ip={} mtu={}", uplink_.name, public_ips(uplink_),
               uplink_.mtu);
    leases_.emplace(io_, options_.etcd, lease_events(), LeaseTuning(), options_.run_dir / kLeaseName);
    leases_->start_config();
    tell();
    return {};
}

void Daemon::full_resync() {
    refresh_uplink();
    reconciler_.check_host();
    reconciler_.check_maps();
    reconciler_.forget_next_hops();
    reconciler_.check_attachments();
    reconciler_.check_rules();
    reconciler_.check_surroundings();
    reconciler_.check_pods();
    reconciler_.check_flannel();
    abandoned_.collect();
    schedule();
}

void Daemon::on_pulse(const PulseWatch::Change &change) {
    // What was put right may have been undone in the same way before this pulse, which then shows the same as the one before.
    const bool repaired = std::exchange(repairs_seen_, reconciler_.repairs()) != reconciler_.repairs();
    look_whether_pods_are_gone();
    if (change.pods || abandoned_.unsure()) abandoned_.collect();
    if (change.maps) reconciler_.check_maps();
    if (change.settings || repaired) reconciler_.check_host();
    if (change.pods || repaired || reconciler_.pods_unsure()) reconciler_.check_pods();
    if (change.attachments || repaired) reconciler_.check_attachments();
    if (repaired || reconciler_.pods_unsure() || change != PulseWatch::Change{} || subnet_file_.is_due()) schedule();
}

void Daemon::wait_for_audit() {
    audit_timer_.expires_after(kAuditInterval);
    audit_timer_.async_wait([this](asio::error_code err) {
        if (err) return;
        full_resync();
        wait_for_audit();
    });
}

void Daemon::sample_drops() {
    if (auto totals = kernel_.read_drops()) drops_.sample(SteadyClock::now(), std::move(*totals));
    drops_timer_.expires_after(kDropsInterval);
    drops_timer_.async_wait([this](asio::error_code err) {
        if (!err) sample_drops();
    });
}

void Daemon::watch_rules() {
    wait_for_rules_poll();
    auto monitor = RuleMonitor::start(io_, [this] { check_rules_soon(); });
    if (monitor)
        rule_monitor_.emplace(std::move(*monitor));
    else // the poll finds what nobody tells of
        log_->warn("firewall rules are looked at every {} s only: {}", options_.rules_resync.count(),
                   monitor.error().sentence());
}

void Daemon::wait_for_rules_poll() {
    rules_poll_timer_.expires_after(options_.rules_resync);
    rules_poll_timer_.async_wait([this](asio::error_code err) {
        if (err) return;
        if (!rule_monitor_ || kernel_.rules_change_silently()) {
            reconciler_.check_rules();
            schedule();
        }
        wait_for_rules_poll();
    });
}

/// Our own writes are changes too, and cost one look that finds everything right.
void Daemon::check_rules_soon() {
    if (rules_check_pending_) return;
    rules_check_pending_ = true;
    rules_check_timer_.expires_at(std::max(SteadyClock::now() + kRulesPause, rules_checked_at_ + kRulesInterval));
    rules_check_timer_.async_wait([this](asio::error_code err) {
        if (err) return;
        rules_check_pending_ = false;
        rules_checked_at_ = SteadyClock::now();
        reconciler_.check_rules();
        schedule();
    });
}

void Daemon::wait_for_signal() {
    for (const int number : {SIGTERM, SIGINT}) signals_.add(number);
    signals_.async_wait([this](asio::error_code err, int number) {
        if (err) return;
        log_->info("{} received: ending, the packet path stays", number == SIGTERM ? "SIGTERM" : "SIGINT");
        stop(0);
    });
}

/// One apply() soon: at once after a quiet time, so that a new lease is in the maps within milliseconds.
void Daemon::schedule() { schedule(kGather); }

void Daemon::schedule(SteadyClock::duration gather) {
    if (scheduled_) return;
    scheduled_ = true;
    apply_timer_.expires_at(std::max(SteadyClock::now() + gather, pace_.earliest()));
    apply_timer_.async_wait([this](asio::error_code err) {
        if (!err) apply();
    });
}

void Daemon::apply() {
    scheduled_ = false;
    const auto begin = SteadyClock::now();
    const auto retry_at = reconciler_.apply(begin);
    pace_.worked(begin, SteadyClock::now());
    if (flannels_mac6_ && reconciler_.view() && !reconciler_.waits_for_flannel()) on_taken_over();
    publish();
    if (std::exchange(comparisons_seen_, reconciler_.comparisons()) != reconciler_.comparisons()) let_go_of_memory();
    if (!retry_at || scheduled_) return;
    // An event before then moves the timer forward; apply() sets it again.
    apply_timer_.expires_at(*retry_at);
    apply_timer_.async_wait([this](asio::error_code err) {
        if (!err) apply();
    });
}

void Daemon::publish() {
    const auto *view = reconciler_.view();
    if (view && reconciler_.ready()) write_env(*view);
    if (drops_.empty()) // the first moment at which there are counters: from here on drops are news
        if (auto totals = kernel_.read_drops()) drops_.sample(SteadyClock::now(), std::move(*totals));
    tell();
}

void Daemon::write_env(const ClusterView &view) {
    SubnetEnv env{.mtu = view.overlay_mtu(), .ip_masq = options_.ip_masq, .lost = lost_};
    const auto &[v4, v6] = view.own;
    if (v4) env.network = view.network_of(v4->address())->net.v4();
    if (v4) env.subnet = Net4(v4->network() + 1, v4->prefix_length());
    if (v6) env.ipv6_network = view.network_of(v6->address())->net.v6();
    if (v6) env.ipv6_subnet = Net6(v6->network() + 1, v6->prefix_length());
    subnet_file_.publish(env);
}

void Daemon::tell() {
    if (const auto state = reconciler_.state(); state != state_) {
        log_->info("state changed from={} to={}", to_string(state_), to_string(state));
        state_ = state;
        state_since_ = std::chrono::system_clock::now();
    }
    std::string status(to_string(state_));
    if (own_)
        status += fmt::format(", subnet {}, {} leases of other nodes", own_->to_string(), reconciler_.programmed());
    if (!own_ && !etcd_said_.empty()) status += ": " + etcd_said_;
    if (!lost_.empty()) status = "SUBNET LOST, no new pods: " + lost_;
    std::string message = "STATUS=" + status;
    const bool news = subnet_file_.published() && !told_ready_;
    if (news) message += "\nREADY=1";
    if (status == systemd_status_ && !news) return;
    (void)sd_notify(0, message.c_str()); // without NOTIFY_SOCKET there is nobody to tell
    systemd_status_ = status;
    if (news) log_->info("ready: pods can be wired state={} datapath={}", to_string(state_), kernel_.datapath_mode());
    told_ready_ = told_ready_ || news;
}

void Daemon::stop(int exit_code) {
    exit_code_ = exit_code;
    (void)sd_notify(0, "STOPPING=1");
    if (leases_) leases_->stop();
    io_.stop();
}

} // namespace weft
