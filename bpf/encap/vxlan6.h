/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_ENCAP_VXLAN6_H
#define WEFT_ENCAP_VXLAN6_H

/* RFC 7348 as flannel speaks it, over IPv6. */
#include "encap/vxlan_header.h"

struct vxlan6_outer {
	struct ipv6hdr ip;
	struct vxlan_inside inside;
	/* struct ethhdr inner_eth */
};
WEFT_STATIC_ASSERT(sizeof(struct vxlan6_outer) + ETH_HLEN == WEFT_VXLAN6_OVERHEAD, "overhead");

enum {
	VXLAN6_PROTO = IPPROTO_UDP,
	VXLAN6_ROOM = BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | VXLAN_INSIDE_ROOM,
	VXLAN6_INNER_L2 = ETH_HLEN,
};

static __always_inline void vxlan6_write(void *at, const struct weft_lease *lease, const struct inner *inner)
{
	struct vxlan6_outer *outer = at;
	const __u32 payload_len = inner->len + WEFT_VXLAN6_OVERHEAD - sizeof(outer->ip);

	outer_ip6(&outer->ip, lease, inner, IPPROTO_UDP, payload_len);
	vxlan_inside_write(&outer->inside, lease, inner, payload_len);
}

static __always_inline enum weft_reason vxlan6_read(struct cursor *c, struct outer *o)
{
	return o->ethertype == bpf_htons(ETH_P_IPV6) ? vxlan_inside_read(c, o) : WEFT_R_NOT_OVERLAY;
}

#endif
