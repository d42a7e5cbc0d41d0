/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_ENCAP_VXLAN_H
#define WEFT_ENCAP_VXLAN_H

/* RFC 7348 as flannel speaks it: one VNI, inner Ethernet from VtepMAC to VtepMAC. */
#include <linux/if_ether.h>

#include "lib/outer.h"

struct vxlanhdr {
	__be32 flags;
	__be32 vni; /* network identifier in the upper 24 bits */
};

struct vxlan_outer {
	struct iphdr ip;
	struct udphdr udp;
	struct vxlanhdr vxlan;
	/* struct ethhdr inner_eth: not a member, it would be padded */
};
WEFT_STATIC_ASSERT(sizeof(struct vxlan_outer) + ETH_HLEN == WEFT_VXLAN_OVERHEAD, "overhead");

enum {
	VXLAN_FLAGS = 0x08000000, /* only I: the VNI is valid. Kernel receivers drop every other bit too */
	/* INNER MAC at 14: with the length of the VXLAN header in it too (22), bulk TCP stalls, because drivers check where
	 * the inner headers start. L2_ETH (5.13): otherwise the kernel does not offer it to the NIC as VXLAN. */
	VXLAN_ROOM = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH,
	VXLAN_INNER_L2 = ETH_HLEN,
};

static __always_inline void vxlan_write(void *at, const struct weft_lease *lease, const struct inner *inner)
{
	struct vxlan_outer *outer = at;
	struct ethhdr *inner_eth = at + sizeof(*outer);
	const __u32 len = inner->len + WEFT_VXLAN_OVERHEAD;

	outer_ip4(&outer->ip, lease, inner, IPPROTO_UDP, len);
	outer_udp(&outer->udp, source_port(inner->hash), cfg.port, len - sizeof(outer->ip));
	outer->vxlan.flags = bpf_htonl(VXLAN_FLAGS);
	outer->vxlan.vni = bpf_htonl(cfg.vni << 8);
	__builtin_memcpy(inner_eth->h_dest, &lease->vtep_mac, ETH_ALEN);
	write_vtep_mac(inner_eth->h_source);
	inner_eth->h_proto = bpf_htons(ETH_P_IP);
}

static __always_inline enum weft_reason vxlan_read(struct cursor *c, const struct iphdr *ip)
{
	const struct ethhdr *inner_eth;
	const struct vxlanhdr *vxlan;
	const struct udphdr *udp;

	if (ip->protocol != IPPROTO_UDP || ip->daddr != ip4_of(&cfg.node))
		return WEFT_R_NOT_OVERLAY;
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
	return WEFT_R_NONE;
}

#endif
