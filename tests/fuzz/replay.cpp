// SPDX-License-Identifier: Apache-2.0
// A target's corpus, one file after the other: replay DIRECTORY. Names the file that ends it.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz.hpp"

namespace {

char current[4096];

void name_the_file(int signal) {
    (void)!::write(STDERR_FILENO, current, std::strlen(current));
    (void)!::write(STDERR_FILENO, "\n", 1);
    ::signal(signal, SIG_DFL);
    ::raise(signal);
}

} // namespace

int main(int argc, char **argv) {
    std::vector<std::filesystem::path> files;
    if (argc == 2)
        for (const auto &entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
    if (files.empty()) {
        fmt::print(stderr, "replay: no corpus\n");
        return 2;
    }
    std::ranges::sort(files);
    for (const int fatal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) ::signal(fatal, name_the_file);
    for (const auto &file : files) {
        std::strncpy(current, file.c_str(), sizeof current - 1);
        std::ifstream in(file, std::ios::binary);
        weft::fuzz::one(std::string(std::istreambuf_iterator<char>(in), {}));
    }
    fmt::print("{} inputs\n", files.size());
}
