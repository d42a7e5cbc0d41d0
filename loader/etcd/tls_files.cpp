// SPDX-License-Identifier: Apache-2.0
#include "etcd/tls_files.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>

namespace weft::etcd {
namespace {

using Clock = std::chrono::system_clock;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Result<std::string> read_text(const std::string &path) {
    if (path.empty()) return std::string();
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (!file.good() && text.empty()) return fail_errno(errno ? errno : EIO, path);
    return text;
}

/// Fails instead of asking at the terminal.
int no_passphrase(char *, int, int, void *) { return 0; }

std::unique_ptr<BIO, decltype(&BIO_free)> reader(const std::string &pem) {
    return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free};
}

Result<std::vector<Certificate>> parse_certificates(const std::string &pem, const std::string &file) {
    std::vector<Certificate> all;
    for (const auto bio = reader(pem);;) {
        Certificate one(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr), X509_free);
        if (!one) break;
        all.push_back(std::move(one));
    }
    ERR_clear_error(); // the end of the text is one, and would be taken for that of gRPC's next handshake
    if (all.empty()) return fail(fmt::format("{}: no certificate (PEM) in it", file));
    return all;
}

Clock::time_point to_time(const ASN1_TIME *time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
    return Clock::from_time_t(::timegm(&parts));
}

std::string shown(Clock::time_point time) { return fmt::format("{:%F %T} UTC", fmt::gmtime(Clock::to_time_t(time))); }

Status check_pair(const TlsPem &pem, const EtcdOptions &options) {
    auto chain = parse_certificates(pem.chain, options.certfile);
    if (!chain) return fail_as_is(std::move(chain));
    const auto bio = reader(pem.key);
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
    const bool fits = key && X509_check_private_key(chain->front().get(), key.get()) == 1;
    ERR_clear_error();
    if (!key) return fail(fmt::format("{}: no private key (PEM, without a passphrase) in it", options.keyfile));
    if (!fits)
        return fail(fmt::format("{}: is not the key of the certificate in {}", options.keyfile, options.certfile));
    return {};
}

} // namespace

Result<TlsPem> read_tls_files(const EtcdOptions &options) {
    if (options.certfile.empty() != options.keyfile.empty())
        return fail(fmt::format("a client certificate needs both files: certfile \"{}\", keyfile \"{}\"",
                                options.certfile, options.keyfile));
    TlsPem pem;
    const std::pair<const std::string &, std::string &> files[] = {
        {options.cafile, pem.roots}, {options.certfile, pem.chain}, {options.keyfile, pem.key}};
    for (const auto &[path, text] : files) {
        auto read = read_text(path);
        if (!read) return fail_as_is(std::move(read));
        text = *std::move(read);
    }
    if (!options.cafile.empty())
        if (auto roots = parse_certificates(pem.roots, options.cafile); !roots) return fail_as_is(std::move(roots));
    if (!options.certfile.empty())
        if (auto pair = check_pair(pem, options); !pair) return fail_as_is(std::move(pair));
    return pem;
}

Result<Validity> read_validity(const std::string &file) {
    auto pem = read_text(file);
    if (!pem) return fail_as_is(std::move(pem));
    const auto all = parse_certificates(*pem, file);
    if (!all) return std::unexpected(all.error());
    Validity validity{.file = file, .from = Clock::time_point::min(), .until = Clock::time_point::max()};
    for (const auto &one : *all) {
        validity.from = std::max(validity.from, to_time(X509_get0_notBefore(one.get())));
        validity.until = std::min(validity.until, to_time(X509_get0_notAfter(one.get())));
    }
    return validity;
}

std::string why_invalid(const Validity &validity, Clock::time_point now) {
    if (now > validity.until) return fmt::format("{} has expired on {}", validity.file, shown(validity.until));
    if (now < validity.from) return fmt::format("{} is not valid before {}", validity.file, shown(validity.from));
    return {};
}

Result<std::unique_ptr<TlsFiles>> TlsFiles::read(const EtcdOptions &options) {
    const auto stamps = stamps_of(options);
    auto pem = read_tls_files(options);
    if (!pem) return fail_in(std::move(pem), "etcd");
    return std::unique_ptr<TlsFiles>(new TlsFiles(options, *std::move(pem), stamps));
}

Result<bool> TlsFiles::reload() {
    const std::lock_guard lock(mutex_);
    const auto stamps = stamps_of(options_);
    if (same(stamps, stamps_)) return bad_ ? Result<bool>(std::unexpected(*bad_)) : false;
    // Taken before the files are read: what is written meanwhile is seen the next time.
    stamps_ = stamps;
    auto pem = read_tls_files(options_);
    bad_ = pem ? std::nullopt : std::optional(pem.error());
    if (!pem) return fail_as_is(std::move(pem));
    if (*pem == pem_) return false;
    pem_ = *std::move(pem);
    return true;
}

TlsPem TlsFiles::current() const {
    const std::lock_guard lock(mutex_);
    return pem_;
}

std::string TlsFiles::complaint() const {
    std::string all;
    for (const auto &file : {options_.cafile, options_.certfile}) {
        if (file.empty()) continue;
        const auto validity = read_validity(file);
        const auto why = validity ? why_invalid(*validity, Clock::now()) : validity.error().sentence();
        if (!why.empty()) all += (all.empty() ? "" : "; ") + why;
    }
    return all;
}

TlsFiles::Stamps TlsFiles::stamps_of(const EtcdOptions &options) {
    Stamps stamps{};
    auto stamp = stamps.begin();
    for (const auto *path : {&options.cafile, &options.certfile, &options.keyfile}) {
        if (::stat(path->c_str(), &*stamp) != 0) *stamp = {};
        ++stamp;
    }
    return stamps;
}

bool TlsFiles::same(const Stamps &one, const Stamps &other) {
    for (std::size_t i = 0; i < one.size(); ++i) {
        const auto &a = one[i], &b = other[i];
        if (a.st_dev != b.st_dev || a.st_ino != b.st_ino || a.st_size != b.st_size ||
            a.st_ctim.tv_sec != b.st_ctim.tv_sec || a.st_ctim.tv_nsec != b.st_ctim.tv_nsec)
            return false;
    }
    return true;
}

} // namespace weft::etcd
