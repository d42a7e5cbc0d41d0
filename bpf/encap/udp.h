/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_ENCAP_UDP_H
#define WEFT_ENCAP_UDP_H

/* flannel's udp backend: the bare inner IPv4 packet is the UDP payload, no header and no magic. Its nodes send from the port
 * they listen on, and so do we: some of them look. */
#include "lib/outer.h"

struct udp_outer {
	struct iphdr ip;
	struct udphdr udp;
};
WEFT_STATIC_ASSERT(sizeof(struct udp_outer) == WEFT_UDP_OVERHEAD, "overhead");

enum {
	UDP_PROTO = IPPROTO_UDP,
	UDP_ROOM = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
	UDP_INNER_L2 = 0,
};

static __always_inline void udp_write(void *at, const struct weft_lease *lease, const struct inner *inner)
{
	struct udp_outer *outer = at;
	const __u32 len = inner->len + sizeof(*outer);

	outer_ip4(&outer->ip, lease, inner, IPPROTO_UDP, len);
	outer_udp(&outer->udp, bpf_htons(cfg.udp_port), cfg.udp_port, len - sizeof(outer->ip));
}

static __always_inline enum weft_reason udp_read(struct cursor *c, struct outer *o)
{
	const struct udphdr *udp;

	if (!o->to_us || o->ethertype != bpf_htons(ETH_P_IP) || o->proto != IPPROTO_UDP)
		return WEFT_R_NOT_OVERLAY;
	udp = take(c, sizeof(*udp));
	if (!udp)
		return WEFT_R_TRUNCATED;
	if (udp->dest != bpf_htons(cfg.udp_port))
		return WEFT_R_NOT_OVERLAY;
	if (!is_udp_len_right(udp, o))
		return WEFT_R_TRUNCATED;
	o->inner_ethertype = bpf_htons(ETH_P_IP);
	return WEFT_R_NONE;
}

#endif
