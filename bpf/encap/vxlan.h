/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_ENCAP_VXLAN_H
#define WEFT_ENCAP_VXLAN_H

/* RFC 7348 as flannel speaks it, over IPv4. */
#include "encap/vxlan_header.h"

struct vxlan_outer {
	struct iphdr ip;
	struct vxlan_inside inside;
	/* struct ethhdr inner_eth: not a member, it would be padded */
};
WEFT_STATIC_ASSERT(sizeof(struct vxlan_outer) + ETH_HLEN == WEFT_VXLAN_OVERHEAD, "overhead");

enum {
	VXLAN_PROTO = IPPROTO_UDP,
	VXLAN_ROOM = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | VXLAN_INSIDE_ROOM,
	VXLAN_INNER_L2 = ETH_HLEN,
};

static __always_inline void vxlan_write(void *at, const struct weft_lease *lease, const struct inner *inner)
{
	struct vxlan_outer *outer = at;
	const __u32 len = inner->len + WEFT_VXLAN_OVERHEAD;

	outer_ip4(&outer->ip, lease, inner, IPPROTO_UDP, len);
	vxlan_inside_write(&outer->inside, lease, inner, len - sizeof(outer->ip));
}

static __always_inline enum weft_reason vxlan_read(struct cursor *c, struct outer *o)
{
	return o->ethertype == bpf_htons(ETH_P_IP) ? vxlan_inside_read(c, o) : WEFT_R_NOT_OVERLAY;
}

#endif
