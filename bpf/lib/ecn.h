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
	ECN_INVALID = -1, /* outer CE on a flow that cannot react to it: the packet must be dropped */
};

/* Section 4.1, normal mode: the outer header carries the inner ECN field. DSCP is not copied, as flannel does not.
 * (Linux's own vxlan writes ECT(0) where the inner field is CE, RFC 3168's way; every decapsulator takes both.) */
static inline __attribute__((always_inline)) __u8 ecn_outer_tos(__u8 inner_tos)
{
	return inner_tos & ECN_MASK;
}

/* Section 4.2: the ECN field that the inner header leaves the tunnel with. */
static inline __attribute__((always_inline)) int ecn_decapsulated(__u8 outer_tos, __u8 inner_tos)
{
	const __u8 outer = outer_tos & ECN_MASK, inner = inner_tos & ECN_MASK;

	if (inner == ECN_NOT_ECT)
		return outer == ECN_CE ? ECN_INVALID : ECN_NOT_ECT;
	if (outer == ECN_CE)
		return ECN_CE;
	if (outer == ECN_ECT_1 && inner == ECN_ECT_0)
		return ECN_ECT_1;
	return inner;
}

#endif
