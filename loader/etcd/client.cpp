// SPDX-License-Identifier: Apache-2.0
#include "etcd/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>

#include "etcd/endpoint.hpp"

namespace weft::etcd {
namespace {

namespace pb = etcdserverpb;

/// The first key behind all those that begin with `prefix`.
std::string prefix_end(std::string prefix) {
    while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
    if (prefix.empty()) return std::string(1, '\0'); // etcd: to the end of the key space
    ++prefix.back();
    return prefix;
}

KeyValue from_pb(pb::KeyValue &&kv) {
    return {.key = std::move(*kv.mutable_key()),
            .value = std::move(*kv.mutable_value()),
            .mod_revision = kv.mod_revision(),
            .lease = kv.lease()};
}

int to_errno(grpc::StatusCode code) {
    switch (code) {
    case grpc::StatusCode::CANCELLED: return ECANCELED;
    case grpc::StatusCode::DEADLINE_EXCEEDED: return ETIMEDOUT;
    case grpc::StatusCode::UNAVAILABLE: return ECONNREFUSED;
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED: return EACCES;
    default: return EIO;
    }
}

Error to_error(const Endpoint &endpoint, std::string_view call, const grpc::Status &status) {
    const auto code = to_errno(status.error_code());
    std::string why = code == ETIMEDOUT ? "no answer in time" : status.error_message();
    // Of a certificate that has expired the other side says little, and gRPC less.
    if (const auto complaint = code == ECONNREFUSED ? endpoint.complaint() : ""; !complaint.empty())
        why += "; " + complaint;
    return Error(code, fmt::format("etcd {} {}: {}", endpoint.url(), call, why));
}

/// Whether another member may do better.
bool is_endpoints_fault(const grpc::Status &status) {
    return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
           status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

/// Whether a fresh token may help: ours ran out, or users and roles were changed under it.
bool is_tokens_fault(const grpc::Status &status) {
    const auto &text = status.error_message();
    return status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
           text.find("invalid auth token") != std::string::npos ||
           text.find("user name is empty") != std::string::npos ||
           text.find("revision of auth store is old") != std::string::npos;
}

pb::Compare unchanged(const std::string &key, std::int64_t expected) {
    pb::Compare compare;
    compare.set_result(pb::Compare::EQUAL);
    compare.set_target(pb::Compare::MOD); // 0 for a key that does not exist
    compare.set_key(key);
    compare.set_mod_revision(expected);
    return compare;
}

pb::Compare none_after(const Transaction::Unwritten &unwritten) {
    pb::Compare compare;
    compare.set_result(pb::Compare::LESS); // each key of the range; a range without keys passes
    compare.set_target(pb::Compare::MOD);
    compare.set_key(unwritten.prefix);
    compare.set_range_end(prefix_end(unwritten.prefix));
    compare.set_mod_revision(unwritten.revision + 1);
    return compare;
}

} // namespace

class Client::Impl {
public:
    using Endpoints = std::vector<std::unique_ptr<Endpoint>>;
    using OnEvents = std::function<void(std::int64_t, std::vector<Event>)>;
    Impl(EtcdOptions options, Timing timing, Endpoints endpoints, std::shared_ptr<TlsFiles> files)
        : options_(std::move(options)), timing_(timing), endpoints_(std::move(endpoints)), files_(std::move(files)) {}

    /// One unary call, on each endpoint in turn until one answers.
    /// @param invoke (Connection &, grpc::ClientContext *, Response *) -> grpc::Status
    template <class Response, class Invoke>
    Result<Response> call(const std::stop_token &stop, const char *name, Invoke invoke) {
        std::string tried;
        int code = EIO;
        const auto first = current_.load();
        for (std::size_t i = 0; i < endpoints_.size(); ++i) {
            const auto index = (first + i) % endpoints_.size();
            Response response;
            const auto failure = attempt(stop, *endpoints_[index], name, invoke, response);
            if (!failure) {
                current_ = index;
                return response;
            }
            code = failure->code();
            tried += (tried.empty() ? "" : "; ") + failure->sentence();
            const bool next_may_do_better = code == ECONNREFUSED || code == ETIMEDOUT;
            if (!next_may_do_better || stop.stop_requested()) break;
        }
        return fail(std::move(tried), code);
    }

    Result<WatchEnd> watch(const std::stop_token &stop, const std::string &prefix, std::int64_t from,
                           const std::function<void()> &on_open, const OnEvents &on_events);

    Result<bool> refresh_credentials(const std::stop_token &stop);
    [[nodiscard]] bool uses_tls() const {
        return std::ranges::any_of(endpoints_, [](const auto &endpoint) { return endpoint->uses_tls(); });
    }

    void note_listed(const pb::ResponseHeader &header) {
        listed_cluster_ = header.cluster_id();
        listed_term_ = header.raft_term();
    }

private:
    /// Whether the store is not the one that was listed: restored from a backup, it may have reached our revision again with
    /// other writes. A cluster made anew usually has another id, and counts its elections from the beginning.
    [[nodiscard]] bool is_another_history(const pb::ResponseHeader &header) const {
        return listed_cluster_ != 0 && (header.cluster_id() != listed_cluster_ || header.raft_term() < listed_term_);
    }

    /// One endpoint's answer to a call: tried again with a fresh token where ours is refused, and on a new connection
    /// where the old one turns out to be dead. @return nothing when it succeeded
    template <class Invoke, class Response>
    std::optional<Error> attempt(const std::stop_token &stop, Endpoint &endpoint, const char *name, Invoke &invoke,
                                 Response &response) {
        for (bool token_renewed = false, reconnected = false;;) {
            const auto connection = endpoint.connection();
            std::string token, failed_call = fmt::format("Authenticate as \"{}\"", options_.username);
            auto status = get_token(stop, *connection, token);
            if (status.ok()) {
                grpc::ClientContext context;
                prepare(context, token);
                const std::stop_callback abort(stop, [&] { context.TryCancel(); });
                status = invoke(*connection, &context, &response);
                failed_call = name;
            }
            if (status.ok()) {
                connection->proven = true;
                return std::nullopt;
            }
            if (is_endpoints_fault(status)) {
                endpoint.drop(connection);
                const bool was_alive = connection->proven && status.error_code() == grpc::StatusCode::UNAVAILABLE;
                if (was_alive && !std::exchange(reconnected, true)) continue;
            } else if (is_tokens_fault(status) && !token.empty() && !std::exchange(token_renewed, true)) {
                forget_token(token);
                continue;
            }
            return to_error(endpoint, failed_call, status);
        }
    }

    void prepare(grpc::ClientContext &context, const std::string &token, bool deadline = true) const {
        if (deadline) context.set_deadline(gpr_time_from_millis(timing_.call_deadline.count(), GPR_TIMESPAN));
        // A member that has lost its cluster says so instead of serving a view that stands still.
        context.AddMetadata("hasleader", "true");
        if (!token.empty()) context.AddMetadata("token", token);
    }

    /// The token to call with; "" without a user name or where etcd has authentication switched off.
    grpc::Status get_token(const std::stop_token &stop, Connection &connection, std::string &token) {
        if (options_.username.empty()) return grpc::Status::OK;
        {
            const std::lock_guard lock(token_mutex_);
            if (!token_.empty()) {
                token = token_;
                return grpc::Status::OK;
            }
        }
        auto password = current_password();
        if (!password) return {grpc::StatusCode::UNAUTHENTICATED, password.error().sentence()};
        pb::AuthenticateRequest request;
        request.set_name(options_.username);
        request.set_password(*std::move(password));
        pb::AuthenticateResponse response;
        grpc::ClientContext context;
        prepare(context, "");
        const std::stop_callback abort(stop, [&] { context.TryCancel(); });
        auto status = connection.auth->Authenticate(&context, request, &response);
        if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) return grpc::Status::OK; // switched off
        const std::lock_guard lock(token_mutex_);
        token_ = response.token();
        token = token_;
        return status;
    }

    std::stop_token moves_now() {
        const std::lock_guard lock(moves_mutex_);
        return moves_.get_token();
    }

    /// A file's is read each time, so that it can be exchanged.
    [[nodiscard]] Result<std::string> current_password() const {
        if (options_.password_file.empty()) return options_.password;
        std::ifstream file(options_.password_file);
        std::string text{std::istreambuf_iterator<char>(file), {}};
        while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
        if (text.empty()) return fail(options_.password_file + ": no password can be read from it", EACCES);
        return text;
    }

    void forget_token(const std::string &refused) {
        const std::lock_guard lock(token_mutex_);
        if (token_ == refused) token_.clear();
    }

    const EtcdOptions options_;
    const Timing timing_;
    const Endpoints endpoints_;
    const std::shared_ptr<TlsFiles> files_;
    bool untried_ = false; ///< files that have changed, and that no endpoint has accepted yet
    std::mutex moves_mutex_;
    std::stop_source moves_;               ///< ends the watches that run on an old connection
    std::atomic<std::size_t> current_ = 0; ///< the endpoint that answered last
    std::atomic<std::uint64_t> listed_cluster_ = 0,
                               listed_term_ = 0; ///< of the last list(), which a watch goes on from
    std::mutex token_mutex_;
    std::string token_;
};

namespace {

pb::WatchRequest watch_request(const std::string &prefix, std::int64_t from) {
    pb::WatchRequest request;
    auto &create = *request.mutable_create_request();
    create.set_key(prefix);
    create.set_range_end(prefix_end(prefix));
    create.set_start_revision(from);
    create.set_progress_notify(true);
    return request;
}

/// What ended the reading of a watch before its stream did.
enum class Refusal { none, must_list, other };

template <class OnEvents>
Refusal read_watch(grpc::ClientReaderWriter<pb::WatchRequest, pb::WatchResponse> &stream, std::int64_t from,
                   const std::function<bool(const pb::ResponseHeader &)> &is_another_history,
                   const std::function<void()> &on_open, const OnEvents &on_events, std::string &reason) {
    pb::WatchResponse response;
    while (stream.Read(&response)) {
        const auto revision = response.header().revision();
        if (response.canceled()) {
            reason = response.cancel_reason();
            return response.compact_revision() != 0 ? Refusal::must_list : Refusal::other;
        }
        if (response.created()) {
            // A store behind what we have seen is another history (restored from a backup, wiped): it would stay silent
            // until it reached our revision.
            if (revision + 1 < from || is_another_history(response.header())) return Refusal::must_list;
            on_open();
            continue;
        }
        std::vector<Event> events;
        for (auto &event : *response.mutable_events())
            events.push_back({event.type() == pb::Event::DELETE, from_pb(std::move(*event.mutable_kv()))});
        // A watch that catches up gets its events in pieces, each headed by the store's revision, not by the piece's.
        const auto reached = events.empty() ? revision : events.back().entry.mod_revision;
        on_events(reached, std::move(events));
    }
    return Refusal::none;
}

} // namespace

Result<WatchEnd> Client::Impl::watch(const std::stop_token &stop, const std::string &prefix, std::int64_t from,
                                     const std::function<void()> &on_open, const OnEvents &on_events) {
    const auto moves = moves_now(); // before the connection: who takes the old one hears that there is a new one
    const auto index = current_.load();
    auto &endpoint = *endpoints_[index];
    const auto connection = endpoint.connection();
    const auto broken = [&](const grpc::Status &status) -> Result<WatchEnd> {
        if (stop.stop_requested()) return WatchEnd::stopped;
        if (moves.stop_requested()) return WatchEnd::moved;
        endpoint.drop(connection);
        auto expected = index;
        current_.compare_exchange_strong(expected, (index + 1) % endpoints_.size());
        return std::unexpected(to_error(endpoint, "Watch", status));
    };
    std::string token, reason;
    if (const auto status = get_token(stop, *connection, token); !status.ok()) return broken(status);
    grpc::ClientContext context;
    prepare(context, token, false);
    const std::stop_callback abort(stop, [&] { context.TryCancel(); });
    const std::stop_callback move(moves, [&] { context.TryCancel(); });
    const auto stream = connection->watch->Watch(&context);
    (void)stream->Write(watch_request(prefix, from)); // a failure shows in Read()
    const auto another = [this](const pb::ResponseHeader &header) { return is_another_history(header); };
    const auto refusal = read_watch(*stream, from, another, on_open, on_events, reason);
    if (refusal != Refusal::none) context.TryCancel();
    const auto status = stream->Finish();
    if (refusal == Refusal::must_list) return WatchEnd::must_list;
    // A token that ran out shows as a refusal without a code, in words that differ between etcd's versions.
    if (refusal == Refusal::other || is_tokens_fault(status)) forget_token(token);
    if (refusal == Refusal::other)
        return fail(fmt::format("etcd {} Watch: refused: {}", endpoint.url(), reason), EACCES);
    return broken(status);
}

/// Before anything is let go of, the new files must have carried a call, to whichever endpoint: else a node whose new
/// certificate etcd refuses would lose a connection that goes on to work.
Result<bool> Client::Impl::refresh_credentials(const std::stop_token &stop) {
    auto changed = files_->reload();
    if (!changed) return changed;
    untried_ = untried_ || *changed;
    if (!untried_) return false;
    pb::RangeRequest request;
    request.set_key(join_key(options_.prefix, "config"));
    std::string tried;
    for (std::size_t i = 0; i < endpoints_.size(); ++i) {
        auto &endpoint = *endpoints_[(current_ + i) % endpoints_.size()];
        const auto connection = endpoint.connect();
        grpc::ClientContext context;
        prepare(context, "");
        const std::stop_callback abort(stop, [&] { context.TryCancel(); });
        pb::RangeResponse response;
        // An answer is one, be it that this call needs a token.
        const auto status = connection->kv->Range(&context, request, &response);
        if (!is_endpoints_fault(status) && status.error_code() != grpc::StatusCode::CANCELLED) {
            connection->proven = true;
            for (const auto &other : endpoints_) other->use(other.get() == &endpoint ? connection : nullptr);
            untried_ = false;
            const std::lock_guard lock(moves_mutex_);
            moves_.request_stop();
            moves_ = {};
            return true;
        }
        tried += (tried.empty() ? "" : "; ") + to_error(endpoint, "Range", status).sentence();
    }
    return fail(std::move(tried), ECONNREFUSED);
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client &&) noexcept = default;
Client &Client::operator=(Client &&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::create(const EtcdOptions &options, const Timing &timing) {
    if (options.endpoints.empty()) return fail("etcd: no endpoint is given");
    auto read = TlsFiles::read(options);
    if (!read) return fail_as_is(std::move(read));
    const std::shared_ptr<TlsFiles> files = *std::move(read);
    Impl::Endpoints endpoints;
    for (const auto &url : options.endpoints) {
        auto endpoint = Endpoint::create(options, timing, url, files);
        if (!endpoint) return fail_as_is(std::move(endpoint));
        endpoints.push_back(*std::move(endpoint));
    }
    return Client(std::make_unique<Impl>(options, timing, std::move(endpoints), files));
}

bool Client::uses_tls() const { return impl_->uses_tls(); }
Result<bool> Client::refresh_credentials(const std::stop_token &stop) { return impl_->refresh_credentials(stop); }

Result<std::optional<KeyValue>> Client::get(const std::stop_token &stop, const std::string &key) {
    pb::RangeRequest request;
    request.set_key(key);
    auto response = impl_->call<pb::RangeResponse>(
        stop, "Range", [&](Connection &c, auto *context, auto *out) { return c.kv->Range(context, request, out); });
    if (!response) return fail_in(std::move(response), key);
    if (response->kvs().empty()) return std::nullopt;
    return from_pb(std::move(*response->mutable_kvs(0)));
}

Result<Listing> Client::list(const std::stop_token &stop, const std::string &prefix) {
    pb::RangeRequest request;
    request.set_key(prefix);
    request.set_range_end(prefix_end(prefix));
    auto response = impl_->call<pb::RangeResponse>(
        stop, "Range", [&](Connection &c, auto *context, auto *out) { return c.kv->Range(context, request, out); });
    if (!response) return fail_in(std::move(response), prefix);
    impl_->note_listed(response->header());
    Listing listing{.entries = {}, .revision = response->header().revision()};
    for (auto &kv : *response->mutable_kvs()) listing.entries.push_back(from_pb(std::move(kv)));
    return listing;
}

Result<std::optional<std::int64_t>> Client::commit(const std::stop_token &stop, const Transaction &transaction) {
    pb::TxnRequest request;
    for (const auto &[key, revision] : transaction.at) *request.add_compare() = unchanged(key, revision);
    if (const auto &unwritten = transaction.unwritten) *request.add_compare() = none_after(*unwritten);
    for (const auto &key : transaction.deletes) request.add_success()->mutable_request_delete_range()->set_key(key);
    for (const auto &[key, value, lease] : transaction.puts) {
        auto &put = *request.add_success()->mutable_request_put();
        put.set_key(key);
        put.set_value(value);
        put.set_lease(lease);
    }
    auto response = impl_->call<pb::TxnResponse>(
        stop, "Txn", [&](Connection &c, auto *context, auto *out) { return c.kv->Txn(context, request, out); });
    if (!response && !transaction.puts.empty()) return fail_in(std::move(response), transaction.puts.front().key);
    if (!response) return fail_as_is(std::move(response));
    if (!response->succeeded()) return std::nullopt;
    return response->header().revision();
}

Result<std::int64_t> Client::grant(const std::stop_token &stop, std::chrono::seconds ttl) {
    pb::LeaseGrantRequest request;
    request.set_ttl(ttl.count());
    auto response =
        impl_->call<pb::LeaseGrantResponse>(stop, "LeaseGrant", [&](Connection &c, auto *context, auto *out) {
            return c.lease->LeaseGrant(context, request, out);
        });
    if (!response) return fail_as_is(std::move(response));
    if (!response->error().empty()) return fail("etcd LeaseGrant: " + response->error(), EIO);
    return response->id();
}

Status Client::revoke(const std::stop_token &stop, std::int64_t lease) {
    pb::LeaseRevokeRequest request;
    request.set_id(lease);
    auto response =
        impl_->call<pb::LeaseRevokeResponse>(stop, "LeaseRevoke", [&](Connection &c, auto *context, auto *out) {
            return c.lease->LeaseRevoke(context, request, out);
        });
    if (!response) return fail_as_is(std::move(response));
    return {};
}

Result<WatchEnd> Client::watch(const std::stop_token &stop, const std::string &prefix, std::int64_t from,
                               const std::function<void()> &on_open,
                               const std::function<void(std::int64_t revision, std::vector<Event>)> &on_events) {
    return impl_->watch(stop, prefix, from, on_open, on_events);
}

std::string join_key(const std::string &prefix, const std::string &name) {
    return (std::filesystem::path(prefix) / name).lexically_normal().string();
}

} // namespace weft::etcd
