/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_ENCAP_VXLAN_HEADER_H
#define WEFT_ENCAP_VXLAN_HEADER_H

/* What VXLAN has behind the outer IP header, of either family: one VNI, inner Ethernet from VtepMAC to VtepMAC. */
#include "lib/outer.h"

struct vxlanhdr {
	__be32 flags;
	__be32 vni; /* network identifier in the upper 24 bits */
};

struct vxlan_inside {
	struct udphdr udp;
	struct vxlanhdr vxlan;
};
enum { VXLAN_AND_ETH = sizeof(struct vxlanhdr) + ETH_HLEN };

enum {
	VXLAN_FLAGS = 0x08000000, /* only I: the VNI is valid. Kernel receivers drop every other bit too */
	/* INNER MAC at 14: with the length of the VXLAN header in it too (22), bulk TCP stalls, because drivers check where
	 * the inner headers start. L2_ETH (5.13): otherwise the kernel does not offer it to the NIC as VXLAN. */
	VXLAN_INSIDE_ROOM = BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH,
};

/* What the kernel's vxlan driver speaks, and nothing else: such packets it pushes and takes off itself. */
static __always_inline bool is_vxlan(__u8 encap)
{
	return encap == WEFT_ENCAP_VXLAN || encap == WEFT_ENCAP_VXLAN6;
}

/* udp_len: from the UDP header on. */
static __always_inline void vxlan_inside_write(struct vxlan_inside *at, const struct weft_lease *lease,
					       const struct inner *inner, __u32 udp_len)
{
	struct ethhdr *inner_eth = (void *)(at + 1);

	outer_udp(&at->udp, source_port(inner->hash), cfg.port, udp_len);
	at->vxlan.flags = bpf_htonl(VXLAN_FLAGS);
	at->vxlan.vni = bpf_htonl(cfg.vni << 8);
	__builtin_memcpy(inner_eth->h_dest, &lease->vtep_mac, ETH_ALEN);
	write_vtep_mac(inner_eth->h_source);
	inner_eth->h_proto = inner->ethertype;
}

/* Between nodes there is IP, and nobody else's link: no ARP, no VLAN. */
static __always_inline enum weft_reason check_inner_ethernet(const struct suspect *who, const struct ethhdr *eth,
							     __be16 *ethertype)
{
	enum weft_reason reason;

	if (!is_ip_ethertype(eth->h_proto)) {
		reason = refuse(who, WEFT_R_INNER_OTHER);
		return reason ? reason : WEFT_R_INNER_NOT_IP;
	}
	*ethertype = eth->h_proto;
	return is_vtep_mac(eth->h_dest) ? WEFT_R_NONE : refuse(who, WEFT_R_WRONG_INNER_MAC);
}

static __always_inline enum weft_reason vxlan_inside_read(struct cursor *c, struct outer *o)
{
	const struct ethhdr *inner_eth;
	enum weft_reason reason = WEFT_R_NONE;
	const struct vxlanhdr *vxlan;
	const struct udphdr *udp;

	if (!o->to_us || o->proto != IPPROTO_UDP)
		return WEFT_R_NOT_OVERLAY;
	udp = take(c, sizeof(*udp));
	if (!udp)
		return WEFT_R_TRUNCATED;
	if (udp->dest != bpf_htons(cfg.port))
		return WEFT_R_NOT_OVERLAY;
	vxlan = take(c, VXLAN_AND_ETH);
	if (!vxlan || !is_udp_len_right(udp, o))
		return WEFT_R_TRUNCATED;
	inner_eth = (const void *)(vxlan + 1);
	if (vxlan->flags != bpf_htonl(VXLAN_FLAGS) || vxlan->vni & bpf_htonl(0xff))
		return WEFT_R_BAD_VXLAN;
	if (vxlan->vni != bpf_htonl(cfg.vni << 8))
		reason = refuse(o->who, WEFT_R_WRONG_VNI);
	if (reason)
		return reason;
	return check_inner_ethernet(o->who, inner_eth, &o->inner_ethertype);
}

#endif
