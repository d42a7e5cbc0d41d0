// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <csignal>
#include <tuple>

#include "daemon/log.hpp"
#include "daemon/memory.hpp"
#include "daemon/only_one.hpp"
#include "net/qdisc.hpp"
#include "net/route.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kAuditInterval = 60s;
/// From a change of firewall rules to the look at ours, and between two looks: kube-proxy's bursts cost one each.
constexpr auto kRulesPause = 100ms;
constexpr auto kRulesInterval = 1s;
constexpr auto kDropsInterval = 10s;
constexpr auto kGather = 1ms;          ///< what belongs together (a link and its addresses) arrives within
constexpr auto kNothingToGather = 0ms; ///< what etcd tells together arrives together

/// What peers have to know besides the address.
nlohmann::json backend_data(const BackendConf &backend, const Mac &vtep_mac) {
    if (backend.encap != WEFT_ENCAP_VXLAN) return nullptr;
    return {{"VNI", backend.vni}, {"VtepMAC", vtep_mac.to_string()}};
}

/// The same device serves IPv6. Unlike the device of flannel's nodes it takes packets over IPv6 without a UDP checksum, which
/// BPF programs cannot compute; flannel ignores the field.
nlohmann::json backend_v6_data(const BackendConf &backend, const Mac &vtep_mac) {
    auto data = backend_data(backend, vtep_mac);
    if (!data.is_null()) data["ZeroCsum6"] = true;
    return data;
}

Families families_of(const NetConf &conf) { return {.v4 = conf.enable_ipv4, .v6 = conf.enable_ipv6}; }

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

LeaseEvents Daemon::lease_events() {
    return {
        .config = [this](const NetConf &conf) { on_config(conf); },
        .acquired = [this](const Lease &own) { on_acquired(own); },
        .lost = [this](const Error &why) { on_lost(why); },
        .snapshot =
            [this](const std::vector<LeasePtr> &all) {
                etcd_log_->info("leases of other nodes listed count={}", all.size());
                reconciler_.set_leases(all);
                schedule(kNothingToGather);
            },
        .put =
            [this](const LeasePtr &lease) {
                etcd_log_->info("lease {} is there public_ip={} backend={}", lease->subnet.to_string(),
                                lease->attrs.public_ip.to_string(), lease->attrs.backend_type);
                reconciler_.put_lease(lease);
                schedule(kNothingToGather);
            },
        .removed =
            [this](const Subnet &subnet) {
                etcd_log_->info("lease {} is gone", subnet.to_string());
                reconciler_.remove_lease(subnet);
                schedule(kNothingToGather);
            },
        .status =
            [this](const std::string &sentence) {
                etcd_log_->warn("{}", sentence);
                etcd_said_ = sentence;
                tell();
            },
    };
}

void Daemon::on_config(const NetConf &conf) {
    auto host = kernel_.read_network();
    auto uplink = host ? choose_uplink(*host, families_of(conf)) : std::unexpected(host.error());
    auto backend = parse_backend(conf);
    const auto unusable = !uplink    ? uplink.error().sentence()
                          : !backend ? backend.error().sentence()
                                     : why_unusable(conf, *backend, *uplink);
    if (!unusable.empty()) {
        log_->error("cannot work with the network configuration: {}", unusable);
        return stop(1);
    }
    for (const auto &remark : backend->remarks) log_->warn("{}", remark);
    if (conf.enable_ipv4 && conf.enable_ipv6 && !uplink->v6)
        log_->warn("uplink {} has no IPv6 address that other nodes can be told: IPv6 goes inside the IPv4 tunnel",
                   uplink->name);
    conf_ = conf;
    backend_ = *backend;
    set_uplink(*uplink);
    reconciler_.set_config(conf, backend_);
    keep_known_mac();
    std::vector<std::string> networks;
    for (const auto &network : reconciler_.networks()) networks.push_back(network.net.to_string());
    log_->info("network configuration read networks={} backend={} public_ip={}", fmt::join(networks, ","),
               backend_.name(), public_ips(uplink_));
    if (const auto found = read_previous_subnet(options_.subnet_file); found.v4 || found.v6)
        previous_ = Subnet{found.v4, found.v6};
    request_lease(previous_);
    tell();
}

/// Peers go on with what they know of this node, be it a flannel's that ran here until now.
void Daemon::keep_known_mac() {
    const auto known = kernel_.read_known_mac(backend_, conf_->enable_ipv4);
    if (!known)
        log_->warn("{}", known.error().sentence());
    else
        reconciler_.set_known_mac(*known);
    // Of flannel's two devices weft.1 takes the MAC of one: the other's stays true as long as that device does.
    flannels_mac6_.reset();
    if (conf_->enable_ipv4 && conf_->enable_ipv6)
        if (const auto mac6 = kernel_.read_flannels_mac6(backend_)) flannels_mac6_ = *mac6;
}

/// weft.1 is where flannel's devices were: what is no longer true of IPv6 is put right at once, for until then peers send it to
/// a MAC that nobody has.
void Daemon::on_taken_over() {
    flannels_mac6_.reset();
    request_lease(own_);
}

std::string Daemon::why_unusable(const NetConf &conf, const BackendConf &backend, const Uplink &uplink) const {
    const auto underlay = uplink.v6 ? Underlay::ipv6 : Underlay::ipv4;
    if (const unsigned mtu = backend.mtu.value_or(uplink.mtu), least = backend.least_mtu(underlay); mtu < least)
        return fmt::format("an MTU of {} leaves no room in the tunnel, {} is the least", mtu, least);
    if (backend.encap != WEFT_ENCAP_DIRECT) return {};
    for (const auto &[missing, family] :
         {std::pair(conf.enable_ipv4 && !uplink.v4, "IPv4"), std::pair(conf.enable_ipv6 && !uplink.v6, "IPv6")})
        if (missing)
            return fmt::format("uplink {} has no usable {} address, and {} carries {} over nothing else", uplink.name,
                               family, backend.name(), family);
    const auto behind_nat = [&](const auto &own) {
        if (!own || own->public_ip == own->address) return std::string();
        return fmt::format(
            "the public IP {} is not {}'s address {}: this node seems to be behind a NAT, which {} cannot work with",
            own->public_ip.to_string(), uplink.name, own->address.to_string(), backend.name());
    };
    const auto in_ip4 = behind_nat(uplink.v4);
    return in_ip4.empty() ? behind_nat(uplink.v6) : in_ip4;
}

void Daemon::request_lease(std::optional<Subnet> previous) {
    LeaseRequest request{
        .attrs = {.public_ip = uplink_.v4 ? uplink_.v4->public_ip : Ip4(),
                  .public_ipv6 = uplink_.v6 ? std::optional(uplink_.v6->public_ip) : std::nullopt,
                  .backend_type = backend_.encap == WEFT_ENCAP_UDP ? "" : std::string(backend_.name()),
                  .backend_data = conf_->enable_ipv4 ? backend_data(backend_, reconciler_.mac_of_vtep()) : nullptr,
                  .backend_v6_data = !conf_->enable_ipv6 ? nullptr
                                     : flannels_mac6_    ? backend_data(backend_, *flannels_mac6_)
                                                         : backend_v6_data(backend_, reconciler_.mac_of_vtep())},
        .previous = std::move(previous),
        .has_pods = has_pods(),
        .renew_margin = options_.renew_margin,
    };
    leases_->acquire(std::move(request), *conf_);
}

void Daemon::on_acquired(const Lease &own) {
    if (own_ && own.subnet.includes(*own_) && *own_ != own.subnet)
        log_->info("this node's subnet has a part more now old={} new={}", own_->to_string(), own.subnet.to_string());
    else if (own_ && *own_ != own.subnet)
        log_->error(
            "this node's subnet changed: pods of the old one are cut off until they are made anew old={} new={}",
            own_->to_string(), own.subnet.to_string());
    else if (!own_)
        log_->info("lease acquired subnet={}", own.subnet.to_string());
    own_ = own.subnet;
    if (!std::exchange(lost_, {}).empty()) log_->info("subnet {} is this node's again", own.subnet.to_string());
    reconciler_.set_own(own.subnet);
    tell();
    schedule();
}

void Daemon::on_lost(const Error &why) {
    // Somebody else has it, and would be cut off if we went on to tell others of it. Our pods keep what works without: each
    // other, this node, the world by masquerade. They cannot have addresses of another subnet, nor new pods any of this one.
    if (has_pods()) {
        log_->error("{}: pods that run keep their addresses, new ones are refused until it is free or they are gone",
                    why.sentence());
        lost_ = why.sentence();
        if (!own_) own_ = previous_; // of a node that comes back
        if (own_) reconciler_.set_own(*own_);
        tell();
        schedule();
        return;
    }
    log_->error("{}: asking for another subnet", why.sentence());
    request_lease(std::nullopt);
}

/// By their interfaces, of which the kernel knows before any map is there.
bool Daemon::has_pods() {
    const auto network = kernel_.read_network();
    return network &&
           std::ranges::any_of(network->links, [](const auto &link) { return link.alias.starts_with("weft:"); });
}

void Daemon::look_whether_pods_are_gone() {
    if (lost_.empty() || has_pods()) return;
    log_->info("no pod lives in the lost subnet any more: asking for another one");
    lost_.clear();
    request_lease(std::nullopt);
}

void Daemon::on_change(const net::NetworkChange &change) {
    using enum net::NetworkChange::Kind;
    const bool of_vtep = change.link_name == kVtepName || change.ifindex == reconciler_.vtep_ifindex();
    const bool of_uplink = change.link_name == uplink_.name || change.ifindex == uplink_.ifindex;
    switch (change.kind) {
    case link:
    case address:
        if (change.link_name.starts_with("weft") && !of_vtep) pulse_.suspect_pods();
        if (change.kind == address && !of_vtep)
            reconciler_.check_surroundings();
        else if (change.link_name.starts_with("flannel") || (change.removed && reconciler_.has_flannels_bridge()))
            reconciler_.check_flannel(); // its own, or one that was on its bridge
        else if (!of_vtep && !of_uplink)
            return;
        if (of_uplink) {
            refresh_uplink();
            reconciler_.forget_next_hops();
        }
        if (change.kind == link) reconciler_.check_attachments();
        if (of_vtep) reconciler_.check_pods(); // their routes go with its addresses, and nobody says so
        break;
    case neighbour: {
        const bool of_pod = change.mac && kernel_.has_other_mac(change.ifindex, change.neighbour_address, *change.mac);
        const bool of_hop =
            change.mac && reconciler_.set_neighbour(change.ifindex, change.neighbour_address, *change.mac);
        if (!of_vtep && !of_pod && !of_hop) return;
        if (of_pod) reconciler_.check_pods();
        break;
    }
    case filter: // every pod comes with one, and not each goes with a word
        if (change.removed || of_uplink || of_vtep) pulse_.suspect_attachments();
        return;
    case qdisc:
        if (change.removed && change.qdisc_kind == "clsact") pulse_.suspect_attachments();
        if (!net::shapes(change.qdisc_kind)) return; // every pod's veth gets a clsact
        reconciler_.check_pods();
        break;
    case route:
        // Our own routes, and those of our pods, lead to no other node.
        if (change.protocol != net::kRouteProtocol) {
            reconciler_.forget_next_hops();
            reconciler_.check_surroundings();
        } else if (!change.removed) {
            return;
        } else {
            reconciler_.check_pods();
        }
        break;
    }
    reconciler_.check_host();
    schedule();
}

Result<Uplink> Daemon::choose_uplink(const HostNetwork &network, Families families) {
    return select_uplink(
        options_.uplink, network, [this](const Ip &destination) { return kernel_.route_to(destination); }, families);
}

void Daemon::refresh_uplink() {
    if (!conf_) return; // chosen once it is known for what
    auto network = kernel_.read_network();
    if (!network) return;
    const auto uplink = choose_uplink(*network, families_of(*conf_));
    // What peers know goes on to be true, and the node to be known by the same name: IPv6 often comes up last.
    const bool gained_ip6 = uplink && uplink->v6 && uplink_.v4 && !uplink_.v6 && uplink->v4 == uplink_.v4;
    std::string said;
    if (!uplink)
        said = fmt::format("uplink: {}; {} stays in use", uplink.error().sentence(), uplink_.name);
    else if (!gained_ip6 && public_ips(*uplink) != public_ips(uplink_)) {
        if (!still_has(*network, uplink_)) return move_to(*uplink);
        said =
            fmt::format("uplink: {} would be chosen now and not {}, which stays in use as long as it is there: restart "
                        "weftd to change over",
                        public_ips(*uplink), public_ips(uplink_));
    }
    if (said != uplink_said_ && !said.empty()) log_->warn("{}", said);
    uplink_said_ = said;
    if (said.empty()) set_uplink(*uplink);
    if (!said.empty()) set_uplink(as_it_is_now(*network, uplink_));
    if (!gained_ip6) return;
    log_->info("uplink {} has an IPv6 address now: publishing public_ipv6={}", uplink_.name,
               uplink_.v6->public_ip.to_string());
    request_lease(own_);
}

/// The node's address has changed: its subnet stays, and peers learn where it is now.
void Daemon::move_to(const Uplink &uplink) {
    if (const auto unusable = why_unusable(*conf_, backend_, uplink); !unusable.empty()) {
        if (unusable != uplink_said_) log_->warn("uplink: {}; {} stays in use", unusable, uplink_.name);
        uplink_said_ = unusable;
        return;
    }
    log_->info("uplink: the address is now {} and not {}: publishing it", public_ips(uplink), public_ips(uplink_));
    uplink_said_.clear();
    set_uplink(uplink);
    request_lease(own_ ? own_ : previous_);
}

void Daemon::set_uplink(const Uplink &uplink) {
    if (uplink == uplink_) return;
    if (std::tie(uplink.name, uplink.ifindex, uplink.mtu) != std::tie(uplink_.name, uplink_.ifindex, uplink_.mtu))
        log_->info("uplink changed name={} ifindex={} mtu={}", uplink.name, uplink.ifindex, uplink.mtu);
    uplink_ = uplink;
    reconciler_.set_uplink(uplink_);
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
