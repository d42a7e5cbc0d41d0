/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_RECEIVE_H
#define WEFT_LIB_RECEIVE_H

/* Judges a packet from the wire, before anything in it is changed: shared by tc and XDP. */
#include "encap/direct.h"
#include "encap/ipip.h"
#include "encap/udp.h"
#include "encap/vxlan.h"
#include "lib/deliver.h"
#include "lib/leases.h"

/* What popping and delivering need to know once the packet may be taken. */
struct received {
	struct ip4_view inner;
	struct weft_endpoint *pod;
	__u32 stats_index;
	__u32 overhead; /* bytes before the inner IP header */
	int ecn;	/* of the inner packet from now on */
	__u8 encap;	/* enum weft_encap */
	bool taken; /* ours, and from who may send it: what the fast path leaves is the host stack's, popped or not */
};

/* From the XDP program to the tc program behind it, as XDP metadata: nothing on the wire can forge it. The same for every
 * packet of a flow, because GRO only joins packets with equal metadata. */
struct popped_mark {
	__u32 magic;
	__u32 ifindex; /* the pod's veth */
};
enum { POPPED_MAGIC = 0x77656674 };

static __always_inline bool takes(__u32 encap)
{
	return cfg.encaps & (1U << encap);
}

/* Outer headers: is this overlay traffic for us, and well formed? Leaves the cursor at the inner IP header. */
static __always_inline enum weft_reason judge_outer(struct cursor *c, struct ip4_view *outer, struct received *r)
{
	const struct ethhdr *eth = take(c, sizeof(*eth));
	enum weft_reason reason;
	const struct iphdr *ip;
	struct cursor behind;

	if (!eth)
		return WEFT_R_TRUNCATED;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return WEFT_R_NOT_IPV4;
	ip = take(c, sizeof(*ip));
	if (!ip)
		return WEFT_R_TRUNCATED;
	if (ip->version != 4)
		return WEFT_R_NOT_OVERLAY;
	if (ip->daddr == ip4_of(&cfg.node)) {
		if (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_IPIP)
			return WEFT_R_NOT_OVERLAY;
		/* The kernel's vxlan device takes both of these: after reassembly, and past the options. */
		if (ip->frag_off & bpf_htons(IP4_MF | IP4_OFFSET))
			return WEFT_R_OUTER_FRAGMENT;
		if (ip->ihl != 5)
			return WEFT_R_IP_OPTIONS;
	}
	outer->saddr = ip->saddr;
	outer->tos = ip->tos;
#define ENCAP_READ(number, NAME, label, backend, bytes)                                                                \
	if (takes(WEFT_ENCAP_##NAME)) {                                                                                \
		behind = *c;                                                                                           \
		reason = label##_read(&behind, ip);                                                                    \
		if (reason != WEFT_R_NOT_OVERLAY) {                                                                    \
			*c = behind;                                                                                   \
			r->encap = WEFT_ENCAP_##NAME;                                                                  \
			r->overhead = bytes;                                                                           \
			return reason;                                                                                 \
		}                                                                                                      \
	}
	WEFT_ENCAPS(ENCAP_READ)
#undef ENCAP_READ
	return WEFT_R_NOT_OVERLAY;
}

/* Everything but conntrack, which each hook asks in its own way. frame_len: bytes from the outer Ethernet header on. */
static __always_inline enum weft_reason judge_received(struct cursor *c, __u32 frame_len, struct received *r)
{
	struct ip4_view outer = {};
	enum weft_reason reason;
	struct iphdr *ip;

	reason = judge_outer(c, &outer, r);
	if (reason)
		return reason;
	reason = ip4_view_header(c, frame_len - ETH_HLEN - r->overhead, &r->inner, &ip);
	if (reason)
		return reason;
	if (r->encap == WEFT_ENCAP_DIRECT)
		reason = check_direct_sender(r->inner.saddr, &r->stats_index);
	else
		reason = check_sender(outer.saddr, r->inner.saddr, &r->stats_index);
	if (reason)
		return reason;
	r->ecn = ecn_decapsulated(outer.tos, r->inner.tos);
	if (r->ecn == ECN_INVALID)
		return WEFT_R_BAD_ECN;
	r->taken = true;
	r->pod = endpoint_of(r->inner.daddr);
	if (!r->pod)
		return WEFT_R_NO_POD;
	if (!cfg.fast_path)
		return WEFT_R_FAST_PATH_OFF;
	if (r->pod->flags & WEFT_EP_VIA_STACK)
		return WEFT_R_POD_PREFERS_STACK;
	reason = ip4_view_l4(c, ip, &r->inner);
	if (reason)
		return reason;
	/* What the pod sends there leaves by the stack (not_pod_network): conntrack must see both directions or neither. */
	if (!in_net(r->inner.flow_saddr, &cfg.network, &cfg.network_mask))
		return WEFT_R_SOURCE_OUTSIDE;
	return WEFT_R_NONE;
}

static __always_inline void count_received(__u32 stats_index, __u32 packets, __u32 bytes)
{
	struct weft_lease_stats *stats = lease_stats_of(stats_index);

	if (!stats)
		return;
	stats->rx_packets += packets;
	stats->rx_bytes += bytes;
}

/* What changes in the inner packet on its way into the pod. */
static __always_inline void rewrite_received(struct ethhdr *eth, struct iphdr *ip, const struct received *r)
{
	if (r->ecn != (r->inner.tos & ECN_MASK))
		ip4_set_ecn(ip, r->ecn);
	ip4_forwarded(ip);
	eth_to_pod(eth, r->pod);
	eth->h_proto = bpf_htons(ETH_P_IP); /* not there yet where the inner packet has no Ethernet header */
}

#endif
