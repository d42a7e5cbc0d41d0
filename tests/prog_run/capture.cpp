// SPDX-License-Identifier: Apache-2.0
#include "capture.hpp"

#include <tins/rawpdu.h>
#include <tins/sniffer.h>

namespace weft::prog_run {

std::vector<std::vector<std::uint8_t>> read_capture(const std::string &path) {
    std::vector<std::vector<std::uint8_t>> frames;
    Tins::FileSniffer file(path);
    file.set_extract_raw_pdus(true);
    for (auto &packet : file) frames.push_back(packet.pdu()->rfind_pdu<Tins::RawPDU>().payload());
    return frames;
}

} // namespace weft::prog_run
