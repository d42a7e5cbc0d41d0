// SPDX-License-Identifier: Apache-2.0
#include "lease/lease_manager.hpp"

#include <asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <tuple>

#include "etcd/backoff.hpp"
#include "etcd/client.hpp"
#include "lease/lease_keeper.hpp"
#include "lease/lease_view.hpp"

namespace weft {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Decides when a lasting complaint is due: at once when it is a new one, then at intervals.
class Complaint {
public:
    explicit Complaint(milliseconds interval) : interval_(interval) {}

    [[nodiscard]] bool due(std::string identity) {
        const auto now = Clock::now();
        if (identity == identity_ && now < again_) return false;
        identity_ = std::move(identity);
        again_ = now + interval_;
        return true;
    }
    [[nodiscard]] bool due(const Error &error) {
        // The text of a failed connection varies from one attempt to the next.
        const bool unreachable = error.code() == ECONNREFUSED || error.code() == ETIMEDOUT;
        return due(unreachable ? "unreachable" : error.sentence());
    }
    /// @return whether there was anything to complain about
    bool settle() { return !std::exchange(identity_, {}).empty(); }

private:
    const milliseconds interval_;
    std::string identity_;
    Clock::time_point again_;
};

/// "Look at your key": from the thread that watches to the one that keeps the lease.
class Nudge {
public:
    void give() {
        const std::lock_guard lock(mutex_);
        given_ = true;
        wake_.notify_all();
    }
    /// What the keeping thread cares for from now on.
    void care_for(std::string own_key, bool awaits_ipv6) {
        const std::lock_guard lock(mutex_);
        own_key_ = std::move(own_key);
        awaits_ipv6_ = awaits_ipv6;
    }
    /// Gives one if our key changed, or any other while they keep IPv6 from us.
    void tell_of(const std::string &key) {
        const std::lock_guard lock(mutex_);
        if (key != own_key_ && !awaits_ipv6_) return;
        given_ = true;
        wake_.notify_all();
    }
    /// Waits for a nudge, `until`, or a stop. @return whether there was a nudge
    bool wait(const std::stop_token &stop, Clock::time_point until) {
        std::unique_lock lock(mutex_);
        wake_.wait_until(lock, stop, until, [this] { return given_; });
        return std::exchange(given_, false);
    }

private:
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::string own_key_;
    bool awaits_ipv6_ = false, given_ = false;
};

} // namespace

std::string_view to_string(LeaseState state) {
    switch (state) {
    case LeaseState::idle: return "idle";
    case LeaseState::waiting_config: return "waiting_config";
    case LeaseState::configured: return "configured";
    case LeaseState::acquiring: return "acquiring";
    case LeaseState::held: return "held";
    case LeaseState::reacquiring: return "reacquiring";
    case LeaseState::lost: return "lost";
    case LeaseState::stopped: return "stopped";
    }
    return "?";
}

class LeaseManager::Impl {
public:
    Impl(asio::io_context &io, EtcdOptions etcd, LeaseEvents events, LeaseTuning tuning, std::filesystem::path memory)
        : io_(io), etcd_(std::move(etcd)), tuning_(tuning), delivery_(std::make_shared<Delivery>(std::move(events))),
          subnets_(etcd::join_key(etcd_.prefix, "subnets") + "/"),
          own_key_(std::make_shared<OwnKey>(std::move(memory))) {}
    ~Impl() { stop(); }

    void start_config() {
        if (!keeper_.joinable()) state_ = LeaseState::waiting_config;
        config_ = {}; // ends an earlier one first
        config_ = std::jthread([this](const std::stop_token &stop) { read_config(stop); });
    }
    void acquire(LeaseRequest request, NetConf conf) {
        keeper_ = {};
        state_ = LeaseState::acquiring;
        keeper_ = std::jthread([this, request = std::move(request),
                                conf = std::move(conf)](const std::stop_token &stop) { keep(stop, request, conf); });
    }
    void stop() {
        delivery_->open = false;
        config_ = {};
        keeper_ = {};
        state_ = LeaseState::stopped;
    }
    [[nodiscard]] LeaseState state() const { return state_; }

private:
    /// Outlives the manager in handlers that are posted but have not run.
    struct Delivery {
        explicit Delivery(LeaseEvents e) : events(std::move(e)) {}
        const LeaseEvents events;
        std::atomic<bool> open = true;
    };

    template <class Function, class... Args> void post(Function LeaseEvents::*event, Args... args) {
        asio::post(io_, [delivery = delivery_, event, ... args = std::move(args)]() mutable {
            const auto &function = delivery->events.*event;
            if (delivery->open && function) function(std::move(args)...);
        });
    }
    /// What etcd tells together (one subnet giving way to another) is delivered together.
    void post(std::vector<LeaseView::Change> changes) {
        asio::post(io_, [delivery = delivery_, changes = std::move(changes)] {
            const auto &[put, removed] = std::tie(delivery->events.put, delivery->events.removed);
            for (const auto &change : changes) {
                const auto *lease = std::get_if<LeasePtr>(&change);
                const auto *gone = std::get_if<Subnet>(&change);
                if (delivery->open && put && lease) put(*lease);
                if (delivery->open && removed && gone) removed(*gone);
            }
        });
    }
    void say(std::string sentence) { post(&LeaseEvents::status, std::move(sentence)); }

    /// A client, as soon as the TLS files can be read. @return null only after a stop
    std::shared_ptr<etcd::Client> open_client(const std::stop_token &stop) {
        for (Complaint complaint(tuning_.repeat_status); !stop.stop_requested(); sleep_for(stop, tuning_.retry_min)) {
            auto client = etcd::Client::create(etcd_);
            if (client) return std::make_shared<etcd::Client>(*std::move(client));
            if (complaint.due(client.error())) say(client.error().sentence());
        }
        return nullptr;
    }

    void read_config(const std::stop_token &stop);
    Result<NetConf> try_read_config(const std::stop_token &stop, etcd::Client &client);

    void keep(const std::stop_token &stop, const LeaseRequest &request, const NetConf &conf);
    Result<Holding> acquire_until_done(const std::stop_token &stop, LeaseKeeper &keeper,
                                       const std::optional<Subnet> &back_to);
    void announce(const LeaseKeeper &keeper, const Holding &holding);
    bool hold(const std::stop_token &stop, LeaseKeeper &keeper, Holding &holding, Clock::duration renew_after);
    Status extend(const std::stop_token &stop, LeaseKeeper &keeper, Holding &holding);

    void renew_credentials(const std::stop_token &stop, etcd::Client &client);
    void follow(const std::stop_token &stop, etcd::Client &client, const LeaseAttrs &own);
    Result<etcd::WatchEnd> watch_from(const std::stop_token &stop, etcd::Client &client, LeaseView &view,
                                      std::int64_t &from, const std::function<void()> &on_open);

    asio::io_context &io_;
    const EtcdOptions etcd_;
    const LeaseTuning tuning_;
    const std::shared_ptr<Delivery> delivery_;
    const std::string subnets_; ///< "<prefix>/subnets/", with the slash: "<prefix>/subnetsX" is none of ours
    std::atomic<LeaseState> state_ = LeaseState::idle;
    Nudge nudge_;
    const std::shared_ptr<OwnKey> own_key_; ///< of one keeper after the other
    // Last, so that they end before anything that they use.
    std::jthread config_, keeper_;
};

Result<NetConf> LeaseManager::Impl::try_read_config(const std::stop_token &stop, etcd::Client &client) {
    const auto key = etcd::join_key(etcd_.prefix, "config");
    auto entry = client.get(stop, key);
    if (!entry) return fail_as_is(std::move(entry));
    if (!*entry)
        return fail("flannel config not found in etcd store. Did you create your config using etcdv3 API? (key " + key +
                        ")",
                    ENOENT);
    auto conf = parse_net_conf((*entry)->value);
    if (!conf) return fail_in(std::move(conf), "etcd key " + key);
    if (auto ok = validate(*conf); !ok) return fail_in(std::move(ok), "etcd key " + key);
    return conf;
}

void LeaseManager::Impl::read_config(const std::stop_token &stop) {
    const auto client = open_client(stop);
    if (!client) return;
    Complaint complaint(tuning_.repeat_status);
    Backoff backoff(milliseconds(100), milliseconds(5000));
    while (!stop.stop_requested()) {
        auto conf = try_read_config(stop, *client);
        if (conf) {
            auto waiting = LeaseState::waiting_config;
            state_.compare_exchange_strong(waiting, LeaseState::configured);
            post(&LeaseEvents::config, *std::move(conf));
            return;
        }
        if (stop.stop_requested()) return;
        const bool away = conf.error().code() == ECONNREFUSED || conf.error().code() == ETIMEDOUT;
        if (complaint.due(conf.error())) say("waiting for the network configuration: " + conf.error().sentence());
        if (!away) backoff.reset();
        sleep_for(stop, away ? backoff.next() : tuning_.config_retry);
    }
}

/// @return an error only after a stop, or when `back_to` is somebody else's now
Result<Holding> LeaseManager::Impl::acquire_until_done(const std::stop_token &stop, LeaseKeeper &keeper,
                                                       const std::optional<Subnet> &back_to) {
    Complaint complaint(tuning_.repeat_status);
    Backoff backoff(tuning_.retry_min, tuning_.retry_max);
    while (true) {
        auto holding = keeper.acquire(stop, back_to);
        if (holding || stop.stop_requested() || holding.error().code() == EADDRINUSE) return holding;
        if (complaint.due(holding.error())) say("cannot acquire a lease yet: " + holding.error().sentence());
        sleep_for(stop, backoff.next());
    }
}

void LeaseManager::Impl::announce(const LeaseKeeper &keeper, const Holding &holding) {
    state_ = LeaseState::held;
    nudge_.care_for(keeper.key_of(holding.subnet), !holding.remark.empty());
    post(&LeaseEvents::acquired, Lease{holding.subnet, keeper.attrs_of(holding.subnet)});
    if (!holding.remark.empty()) say("lease " + holding.subnet.to_string() + ": " + holding.remark);
}

/// Gets the IPv6 part that a lease had to do without, once nothing speaks against it.
Status LeaseManager::Impl::extend(const std::stop_token &stop, LeaseKeeper &keeper, Holding &holding) {
    if (holding.remark.empty()) return {};
    auto now = keeper.extend(stop, holding.subnet);
    if (!now) return fail_as_is(std::move(now));
    if (now->subnet == holding.subnet) return {};
    holding = *std::move(now);
    announce(keeper, holding);
    if (holding.remark.empty()) say("lease " + holding.subnet.to_string() + ": nobody keeps it from IPv6 any more");
    return {};
}

/// Keeps the key ours until a stop. @return true when it is not ours any more
bool LeaseManager::Impl::hold(const std::stop_token &stop, LeaseKeeper &keeper, Holding &holding,
                              Clock::duration renew_after) {
    using Write = LeaseKeeper::Write;
    Complaint complaint(tuning_.repeat_status);
    Backoff backoff(tuning_.retry_min, tuning_.retry_max);
    constexpr auto kNever = Clock::time_point::max();
    auto renew_at = Clock::now() + renew_after, republish_at = Clock::now() + tuning_.republish, retry_at = kNever;
    while (true) {
        const auto until = retry_at != kNever ? retry_at : std::min(renew_at, republish_at);
        const bool nudged = nudge_.wait(stop, until);
        if (stop.stop_requested()) return false;
        const auto now = Clock::now();
        if (!nudged && now < until) continue;

        const auto write = now >= renew_at ? Write::renew : now >= republish_at ? Write::same_lease : Write::if_damaged;
        const auto ours = keeper.refresh(stop, holding.subnet, write);
        if (ours && !*ours) return true;
        const auto done = ours ? extend(stop, keeper, holding) : Status(std::unexpected(ours.error()));
        if (stop.stop_requested()) return false;
        if (!done) {
            if (complaint.due(done.error()))
                say("our lease could not be checked or renewed, trying again: " + done.error().sentence());
            retry_at = Clock::now() + backoff.next();
            continue;
        }
        if (complaint.settle()) say("lease " + holding.subnet.to_string() + " is looked after again");
        backoff.reset();
        retry_at = kNever;
        if (write == Write::renew) renew_at = now + renew_after;
        if (write != Write::if_damaged) republish_at = kNever;
    }
}

void LeaseManager::Impl::keep(const std::stop_token &stop, const LeaseRequest &request, const NetConf &conf) {
    const auto lose = [this](Error error) {
        state_ = LeaseState::lost;
        post(&LeaseEvents::lost, std::move(error));
    };
    if (request.attrs.public_ip.is_unspecified() && !request.attrs.public_ipv6)
        return lose(Error(EINVAL, "a lease needs a PublicIP or a PublicIPv6, it has neither"));
    const auto client = open_client(stop);
    if (!client) return;
    LeaseKeeper keeper(client, subnets_, request, conf, tuning_.lease_ttl, own_key_);
    const Clock::duration renew_after =
        std::max<Clock::duration>(tuning_.lease_ttl - request.renew_margin, std::chrono::seconds(1));

    std::jthread renewer;
    if (client->uses_tls())
        renewer = std::jthread([&](const std::stop_token &its_stop) { renew_credentials(its_stop, *client); });
    std::jthread watcher; // lives on when the lease is lost: the others' leases are still wanted
    const auto watch = [&] {
        if (watcher.joinable()) return;
        watcher =
            std::jthread([&](const std::stop_token &watcher_stop) { follow(watcher_stop, *client, request.attrs); });
    };
    std::optional<Subnet> held; ///< once we have had one
    while (!stop.stop_requested()) {
        auto holding = acquire_until_done(stop, keeper, held);
        if (stop.stop_requested()) return;
        if (!holding) {
            if (state_ != LeaseState::lost) lose(holding.error());
            watch();
            nudge_.wait(stop, Clock::now() + tuning_.lost_retry);
            continue;
        }
        held = holding->subnet;
        announce(keeper, *holding);
        watch();
        if (!hold(stop, keeper, *holding, renew_after)) return;
        held = holding->subnet;
        state_ = LeaseState::reacquiring;
        say("lease " + held->to_string() + " was deleted, has expired or was overwritten: asking for it again");
    }
}

/// One watch, from `from` on, which it moves along. @return as Client::watch
Result<etcd::WatchEnd> LeaseManager::Impl::watch_from(const std::stop_token &stop, etcd::Client &client,
                                                      LeaseView &view, std::int64_t &from,
                                                      const std::function<void()> &on_open) {
    return client.watch(stop, subnets_, from, on_open,
                        [&](std::int64_t revision, const std::vector<etcd::Event> &events) {
                            std::vector<LeaseView::Change> changes;
                            for (const auto &event : events) {
                                nudge_.tell_of(event.entry.key);
                                changes.push_back(view.apply(event));
                            }
                            post(std::move(changes));
                            from = revision + 1;
                        });
}

/// Certificates are short-lived: whoever renews them writes the files, and tells nobody.
void LeaseManager::Impl::renew_credentials(const std::stop_token &stop, etcd::Client &client) {
    Complaint complaint(tuning_.repeat_status);
    while (sleep_for(stop, tuning_.look_at_files)) {
        const auto renewed = client.refresh_credentials(stop);
        if (stop.stop_requested()) return;
        if (!renewed && complaint.due(renewed.error()))
            say("what was read of the certificate files before stays in use: " + renewed.error().sentence());
        if (renewed && *renewed) say("certificate files have changed: the new ones are in use");
        if (renewed) complaint.settle();
    }
}

void LeaseManager::Impl::follow(const std::stop_token &stop, etcd::Client &client, const LeaseAttrs &own) {
    LeaseView view(subnets_, own, [this](std::string what) { say(std::move(what)); });
    Complaint complaint(tuning_.repeat_status);
    Backoff backoff(milliseconds(100), milliseconds(5000));
    const auto failed = [&](const Error &error) {
        if (!stop.stop_requested() && complaint.due(error))
            say("leases as last seen stay in use while etcd is away: " + error.sentence());
        sleep_for(stop, backoff.next());
    };
    const auto opened = [&] {
        backoff.reset();
        if (complaint.settle()) say("etcd answers again, leases are up to date");
    };
    while (!stop.stop_requested()) {
        auto listing = client.list(stop, subnets_);
        if (!listing) {
            failed(listing.error());
            continue;
        }
        post(&LeaseEvents::snapshot, view.reset(std::exchange(listing->entries, {})));
        nudge_.give(); // what happened to our own key before this list is in no event
        for (auto from = listing->revision + 1; !stop.stop_requested();) {
            const auto end = watch_from(stop, client, view, from, opened);
            if (end && *end == etcd::WatchEnd::stopped) return;
            if (end && *end == etcd::WatchEnd::moved) continue;
            if (end) {
                say(fmt::format("etcd no longer has the changes since revision {}, listing all leases again", from));
                sleep_for(stop, backoff.next());
                break;
            }
            failed(end.error());
        }
    }
}

LeaseManager::LeaseManager(asio::io_context &io, EtcdOptions etcd, LeaseEvents events, LeaseTuning tuning,
                           std::filesystem::path memory)
    : impl_(std::make_unique<Impl>(io, std::move(etcd), std::move(events), tuning, std::move(memory))) {}
LeaseManager::~LeaseManager() = default;
void LeaseManager::start_config() { impl_->start_config(); }
void LeaseManager::acquire(LeaseRequest request, NetConf conf) { impl_->acquire(std::move(request), std::move(conf)); }
void LeaseManager::stop() { impl_->stop(); }
LeaseState LeaseManager::state() const { return impl_->state(); }

} // namespace weft
