/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef WEFT_CHECKS_H
#define WEFT_CHECKS_H

/* The checks that an operator can relax, once for BPF, C++ and --check. A check is named as the reason for which it drops;
 * what is not here (malformed headers, packets that lead nowhere) is dropped whatever is set.
 *
 * X(REASON, MODE)   MODE: unless --check says otherwise
 */
#define WEFT_CHECKS(X)                                                                                                 \
	X(WRONG_VNI, ENFORCE)                                                                                          \
	X(WRONG_INNER_MAC, ENFORCE)                                                                                    \
	X(UNKNOWN_SENDER, ENFORCE)                                                                                     \
	X(SPOOFED_SOURCE, ENFORCE)                                                                                     \
	X(OWN_SOURCE, ENFORCE)                                                                                         \
	X(MARTIAN_SOURCE, ENFORCE)                                                                                     \
	X(MARTIAN_DESTINATION, ENFORCE)                                                                                \
	X(FOREIGN_SOURCE, COUNT)                                                                                       \
	X(BARE_SOURCE, ENFORCE)                                                                                        \
	X(WRONG_LINK_MAC, ENFORCE)                                                                                     \
	X(INNER_OTHER, ENFORCE)                                                                                        \
	X(OTHER_DESTINATION, ENFORCE)                                                                                  \
	X(INNER_DISCOVERY, ENFORCE)                                                                                    \
	X(POD_SOURCE, ENFORCE)                                                                                         \
	X(POD_MAC, ENFORCE)                                                                                            \
	X(POD_ARP, ENFORCE)                                                                                            \
	X(POD_ND, ENFORCE)                                                                                             \
	X(POD_ROUTER, ENFORCE)                                                                                         \
	X(POD_DHCP, ENFORCE)                                                                                           \
	X(POD_TUNNEL, ENFORCE)                                                                                         \
	X(POD_HEADERS, ENFORCE)

/* X(NAME, label) */
#define WEFT_CHECK_MODES(X)                                                                                            \
	X(ENFORCE, "enforce") /* what it refuses is dropped */                                                         \
	X(COUNT, "count")     /* what it refuses goes on, and is counted as tolerated */                               \
	X(OFF, "off")

#define WEFT_CHECK_MODE_ENUM(NAME, label) WEFT_CHECK_##NAME,
enum weft_check_mode { WEFT_CHECK_MODES(WEFT_CHECK_MODE_ENUM) };
#undef WEFT_CHECK_MODE_ENUM

#endif
