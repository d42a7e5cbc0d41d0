/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_ECN_H
#define WEFT_LIB_ECN_H

/* Explicit congestion notification over a tunnel, RFC 6040. Pure, compiled natively by tests/unit too. */
#include <linux/types.h>

enum ecn {
	ECN_NOT_ECT = 0,
	ECN_ECT_1 = 1,
	ECN_ECT_0 = 2,
	ECN_CE = 3,
	ECN_MASK = 3,
	ECN_INVALID = 4, /* outer CE on a flow that cannot react to it: the packet must be dropped */
};

/* Section 4.1, normal mode: the outer header carries the inner ECN field. DSCP is not copied, as flannel does not.
 * (Linux's own vxlan writes ECT(0) where the inner field is CE, RFC 3168's way; every decapsulator takes both.) */
static inline __attribute__((always_inline)) __u8 ecn_outer_tos(__u8 inner_tos)
{
	return inner_tos & ECN_MASK;
}

/* What becomes of each inner field under one outer field. */
static inline __attribute__((always_inline)) __u64 ecn_row(__u8 outer, __u8 not_ect, __u8 ect_1, __u8 ect_0, __u8 ce)
{
	return ((__u64)not_ect | (__u64)ect_1 << 4 | (__u64)ect_0 << 8 | (__u64)ce << 12) << 16 * outer;
}

/* Section 4.2: the ECN field that the inner header leaves the tunnel with. A table like the RFC's (figure 4): from each branch
 * that stood here the verifier would walk on by itself. */
static inline __attribute__((always_inline)) enum ecn ecn_decapsulated(__u8 outer_tos, __u8 inner_tos)
{
	const __u8 outer = outer_tos & ECN_MASK, inner = inner_tos & ECN_MASK;
	const __u64 table = ecn_row(ECN_NOT_ECT, ECN_NOT_ECT, ECN_ECT_1, ECN_ECT_0, ECN_CE) |
			    ecn_row(ECN_ECT_1, ECN_NOT_ECT, ECN_ECT_1, ECN_ECT_1, ECN_CE) |
			    ecn_row(ECN_ECT_0, ECN_NOT_ECT, ECN_ECT_1, ECN_ECT_0, ECN_CE) |
			    ecn_row(ECN_CE, ECN_INVALID, ECN_CE, ECN_CE, ECN_CE);

	return (enum ecn)(table >> (16 * outer + 4 * inner) & 0xf);
}

#endif
