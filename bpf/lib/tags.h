/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_TAGS_H
#define WEFT_LIB_TAGS_H

/* VLAN tags, which lie beside the packet, not in it. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "weft_reasons.h"

enum {
	VLAN_ID = 0x0fff,
	MAX_PRIORITY_TAGS = 2,
};

/* A tag of VLAN 0 is a priority and no VLAN: the kernel takes such a packet as if it had none, so it is judged like that. What
 * carries another tag is the kernel's, who knows which device's it is. */
static __always_inline enum weft_reason untag(struct __sk_buff *skb)
{
	int i;

#pragma unroll
	for (i = 0; i < MAX_PRIORITY_TAGS; i++) {
		if (!skb->vlan_present)
			return WEFT_R_NONE;
		if (skb->vlan_tci & VLAN_ID)
			return WEFT_R_VLAN;
		if (bpf_skb_vlan_pop(skb))
			return WEFT_R_NESTED_TAGS;
	}
	return skb->vlan_present ? WEFT_R_NESTED_TAGS : WEFT_R_NONE;
}

#endif
