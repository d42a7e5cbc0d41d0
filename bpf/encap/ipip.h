/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_ENCAP_IPIP_H
#define WEFT_ENCAP_IPIP_H

/* RFC 2003: IPv4 in IPv4, protocol 4. */
#include "lib/outer.h"

struct ipip_outer {
	struct iphdr ip;
};
WEFT_STATIC_ASSERT(sizeof(struct ipip_outer) == WEFT_IPIP_OVERHEAD, "overhead");

enum {
	IPIP_PROTO = IPPROTO_IPIP,
	IPIP_ROOM = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4,
	IPIP_INNER_L2 = 0,
};

static __always_inline void ipip_write(void *at, const struct weft_lease *lease, const struct inner *inner)
{
	struct ipip_outer *outer = at;

	outer_ip4(&outer->ip, lease, inner, IPPROTO_IPIP, inner->len + sizeof(*outer));
}

static __always_inline enum weft_reason ipip_read(struct cursor *c, struct outer *o)
{
	(void)c;
	if (!o->to_us || o->ethertype != bpf_htons(ETH_P_IP) || o->proto != IPPROTO_IPIP)
		return WEFT_R_NOT_OVERLAY;
	o->inner_ethertype = bpf_htons(ETH_P_IP);
	return WEFT_R_NONE;
}

#endif
