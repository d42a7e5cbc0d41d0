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

/* Section 4.2: the ECN field that the inner header leaves the tunnel with. */
static inline __attribute__((always_inline)) enum ecn ecn_combined(__u8 outer, __u8 inner)
{
	if (inner == ECN_NOT_ECT)
		return outer == ECN_CE ? ECN_INVALID : ECN_NOT_ECT;
	if (outer == ECN_CE)
		return ECN_CE;
	if (outer == ECN_ECT_1 && inner == ECN_ECT_0)
		return ECN_ECT_1;
	return (enum ecn)inner;
}

/* The same by a table, which the compiler makes: from each result that a branch has, the verifier would walk on by itself. */
static inline __attribute__((always_inline)) enum ecn ecn_decapsulated(__u8 outer_tos, __u8 inner_tos)
{
	enum { CASES = 16, CASE_BITS = 4, CASE_MASK = 15 };
	__u64 table = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < CASES; i++)
		table |= (__u64)ecn_combined(i >> 2, i & ECN_MASK) << CASE_BITS * i;
	return (enum ecn)(table >> CASE_BITS * ((outer_tos & ECN_MASK) << 2 | (inner_tos & ECN_MASK)) & CASE_MASK);
}

#endif
