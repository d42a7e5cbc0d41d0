/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_RECEIVE_H
#define WEFT_LIB_RECEIVE_H

/* Judges a packet from the wire, before anything in it is changed: shared by tc and XDP. */
#include "lib/deliver.h"
#include "lib/leases.h"
#include "lib/vxlan.h"

/* What popping and delivering need to know once the packet may be taken. */
struct received {
	struct ip4_view inner;
	struct weft_endpoint *pod;
	__u32 stats_index;
	int ecn;
};

/* From the XDP program to the tc program behind it, as XDP metadata: nothing on the wire can forge it. The same for every
 * packet of a flow, because GRO only joins packets with equal metadata. */
struct popped_mark {
	__u32 magic;
	__u32 ifindex; /* the pod's veth */
};
enum { POPPED_MAGIC = 0x77656674 };

/* Outer headers: is this tunnel traffic for us, and well formed? Leaves the cursor at the inner IP header. */
static __always_inline enum weft_reason judge_outer(struct cursor *c, struct ip4_view *outer)
{
	const struct ethhdr *eth = take(c, sizeof(*eth));
	const struct ethhdr *inner_eth;
	const struct vxlanhdr *vxlan;
	const struct udphdr *udp;
	const struct iphdr *ip;

	if (!eth)
		return WEFT_R_TRUNCATED;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return WEFT_R_NOT_IPV4;
	ip = take(c, sizeof(*ip));
	if (!ip)
		return WEFT_R_TRUNCATED;
	if (ip->version != 4 || ip->protocol != IPPROTO_UDP || ip->daddr != ip4_of(&cfg.node))
		return WEFT_R_NOT_OVERLAY;
	/* The kernel's vxlan device takes both of these: after reassembly, and past the options. */
	if (ip->frag_off & bpf_htons(IP4_MF | IP4_OFFSET))
		return WEFT_R_OUTER_FRAGMENT;
	if (ip->ihl != 5)
		return WEFT_R_IP_OPTIONS;
	udp = take(c, sizeof(*udp));
	if (!udp)
		return WEFT_R_TRUNCATED;
	if (udp->dest != bpf_htons(cfg.port))
		return WEFT_R_NOT_OVERLAY;
	vxlan = take(c, sizeof(*vxlan));
	inner_eth = take(c, sizeof(*inner_eth));
	if (!vxlan || !inner_eth)
		return WEFT_R_TRUNCATED;
	if (vxlan->flags != bpf_htonl(VXLAN_FLAGS) || vxlan->vni & bpf_htonl(0xff))
		return WEFT_R_BAD_VXLAN;
	if (vxlan->vni != bpf_htonl(cfg.vni << 8))
		return WEFT_R_WRONG_VNI;
	if (inner_eth->h_proto != bpf_htons(ETH_P_IP))
		return WEFT_R_INNER_NOT_IPV4;
	if (!is_vtep_mac(inner_eth->h_dest))
		return WEFT_R_WRONG_INNER_MAC;
	outer->saddr = ip->saddr;
	outer->tos = ip->tos;
	return WEFT_R_NONE;
}

/* Everything but conntrack, which each hook asks in its own way. frame_len: bytes from the outer Ethernet header on. */
static __always_inline enum weft_reason judge_received(struct cursor *c, __u32 frame_len, struct received *r)
{
	struct ip4_view outer = {};
	enum weft_reason reason;
	struct iphdr *ip;

	reason = judge_outer(c, &outer);
	if (reason)
		return reason;
	reason = ip4_view_header(c, frame_len - ETH_HLEN - WEFT_VXLAN_OVERHEAD, &r->inner, &ip);
	if (reason)
		return reason;
	reason = check_sender(outer.saddr, r->inner.saddr, &r->stats_index);
	if (reason)
		return reason;
	r->ecn = ecn_decapsulated(outer.tos, r->inner.tos);
	if (r->ecn == ECN_INVALID)
		return WEFT_R_BAD_ECN;
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
}

#endif
