// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "etcd/options.hpp"

namespace weft::etcd {

/// What the files of --etcd-cafile, --etcd-certfile and --etcd-keyfile hold; empty where there is none.
struct TlsPem {
    std::string roots, chain, key;

    bool operator==(const TlsPem &) const = default;
};

/// When a file's certificates are valid: all of them.
struct Validity {
    std::string file;
    std::chrono::system_clock::time_point from, until;
};

/// Reads and checks the three files: certificates, a key without a passphrase, one that fits the certificate. Whether they are
/// valid today is not asked.
/// Errors: name the file.
[[nodiscard]] Result<TlsPem> read_tls_files(const EtcdOptions &options);

/// Of a file of certificates. Errors: name it.
[[nodiscard]] Result<Validity> read_validity(const std::string &file);

/// "FILE has expired on 2026-11-20 12:00:00 UTC", "FILE is not valid before ..."; "" if it is valid now.
[[nodiscard]] std::string why_invalid(const Validity &validity, std::chrono::system_clock::time_point now);

/// The files as they were last good: a file that is being written, or was exchanged for one of no use, changes nothing.
///
/// Contract: a file is known to have changed by its inode, size and times, behind whatever links lead to it: secrets are
/// exchanged by a link that points elsewhere. Threads: any.
class TlsFiles {
public:
    [[nodiscard]] static Result<std::unique_ptr<TlsFiles>> read(const EtcdOptions &options);

    /// Looks whether the files have changed, and if so reads them. Cheap where nothing changed.
    /// @return whether current() has other content than before.
    /// Errors: name a file that cannot be used; as long as it stays so, each call says it.
    [[nodiscard]] Result<bool> reload();
    [[nodiscard]] TlsPem current() const;
    /// What of the files is not valid now, in one line; "" if all are.
    [[nodiscard]] std::string complaint() const;

private:
    using Stamps = std::array<struct stat, 3>;
    TlsFiles(const EtcdOptions &options, TlsPem pem, const Stamps &stamps)
        : options_(options), pem_(std::move(pem)), stamps_(stamps) {}
    [[nodiscard]] static Stamps stamps_of(const EtcdOptions &options);
    [[nodiscard]] static bool same(const Stamps &one, const Stamps &other);

    const EtcdOptions options_;
    mutable std::mutex mutex_;
    TlsPem pem_;
    Stamps stamps_; ///< of the files when pem_ was read, or found to be of no use
    std::optional<Error> bad_;
};

} // namespace weft::etcd
