// SPDX-License-Identifier: Apache-2.0
#include "daemon/subnet_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

namespace weft {

namespace {

/// What a weftd that died while it was writing has left.
void remove_debris(const std::filesystem::path &path) {
    const auto prefix = fmt::format(".{}.", path.filename().string());
    std::vector<std::filesystem::path> debris;
    std::error_code ignored; // no directory yet
    for (std::filesystem::directory_iterator entry(path.parent_path(), ignored), end; !ignored && entry != end;
         entry.increment(ignored))
        if (entry->path().filename().string().starts_with(prefix)) debris.push_back(entry->path());
    for (const auto &file : debris) std::filesystem::remove(file, ignored);
}

} // namespace

void SubnetFile::publish(const SubnetEnv &env) {
    if (!published_) remove_debris(path_);
    const auto found = read_subnet_env(path_);
    const bool right = found && *found == env;
    if (!right) {
        if (auto written = write_subnet_env(path_, env); !written) {
            failed_ = true;
            if (written.error().sentence() != said_) log_->error("{}", written.error().sentence());
            said_ = written.error().sentence();
            return;
        }
        std::vector<std::string> subnets;
        for (const auto &subnet : env.subnets()) subnets.push_back(subnet.canonical().to_string());
        log_->info("{} written subnet={} mtu={}", path_.string(), fmt::join(subnets, " "), env.mtu);
    }
    stamp_ = stamp();
    published_ = true;
    failed_ = false;
    said_.clear();
}

bool SubnetFile::is_due() const {
    const auto now = stamp();
    return failed_ || (published_ && (now.inode != stamp_.inode || now.changed.tv_sec != stamp_.changed.tv_sec ||
                                      now.changed.tv_nsec != stamp_.changed.tv_nsec));
}

SubnetFile::Stamp SubnetFile::stamp() const {
    struct stat found{};
    if (::stat(path_.c_str(), &found) != 0) return {};
    return {found.st_ino, found.st_ctim};
}

} // namespace weft
