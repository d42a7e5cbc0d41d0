// SPDX-License-Identifier: GPL-2.0-only
/* tc ingress of the uplink: what comes from other nodes. Behind GRO, which joins tunnelled TCP segments as long as weft.1's
 * socket on the port is there, and behind the XDP program when there is one. What this does not take goes on unchanged: the
 * kernel's vxlan socket decapsulates it, and it appears on weft.1. */
#include "lib/carried.h"
#include "lib/conntrack.h"
#include "lib/deliver.h"
#include "lib/receive.h"
#include "lib/tags.h"
#include "lib/verdict.h"

/* Already judged, popped and rewritten by the XDP program. */
static __always_inline const struct popped_mark *popped_mark_of(const struct __sk_buff *skb)
{
	const struct popped_mark *mark = (void *)(long)skb->data_meta;

	/* unreached: a test run has no metadata of another hook: tests/netns */
	if ((void *)(mark + 1) > (void *)(long)skb->data || mark->magic != POPPED_MAGIC)
		return NULL;
	return mark;
}

/* The pop takes the outer header, but leaves the tunnel type on a GSO packet (kernels to 6.18; the vxlan device takes it
 * off). TCP is segmented without looking at it. UDP is taken for the tunnel packet that it was, and lost: where the pod's
 * socket wants datagrams one by one, or on its way out of a pod that forwards it. */
static __always_inline enum weft_reason survives_pop(const struct __sk_buff *skb, const struct received *r)
{
	/* unreached: by kernels that lack it, where tests/kernels runs the same tables */
	if (r->outer_ethertype != r->inner_ethertype && !cfg.pop_other_family)
		return WEFT_R_OTHER_FAMILY;
	return skb->gso_size && r->inner.proto == IPPROTO_UDP ? WEFT_R_UDP_GSO : WEFT_R_NONE;
}

enum {
	POP_FLAGS = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET,
	/* Since 6.3, and not in the headers that this is built with: otherwise the packet stays of the outer family to those
	 * who ask skb->protocol. */
	POP_TO_IPV4 = 1 << 7,
	POP_TO_IPV6 = 1 << 8,
};

static __always_inline __u64 pop_flags(const struct received *r)
{
	if (r->outer_ethertype == r->inner_ethertype)
		return POP_FLAGS;
	return POP_FLAGS | (r->inner.version == 4 ? POP_TO_IPV4 : POP_TO_IPV6);
}

/* Until the pop succeeds the packet is untouched. */
static __always_inline enum weft_reason pop(struct __sk_buff *skb, const struct received *r)
{
	if (r->encap == WEFT_ENCAP_DIRECT)
		return WEFT_R_NONE;
	if (bpf_skb_adjust_room(skb, -(__s32)r->overhead, BPF_ADJ_ROOM_MAC, pop_flags(r)))
		return WEFT_R_POP_REFUSED;
	/* One verified checksum was the outer UDP one, be it zero: what is left counts for the inner packet. Without this a
	 * NIC that looked at the outer one only would vouch for an inner one nobody summed up. */
	if (outer_proto(r->encap) == IPPROTO_UDP)
		bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
	/* The hash was the outer header's; the pod's receive steering wants its own flow's. */
	bpf_set_hash_invalid(skb);
	return WEFT_R_NONE;
}

static __always_inline enum weft_reason pop_and_deliver(struct __sk_buff *skb, const struct received *r)
{
	const __u32 packets = wire_packets(skb), outer_bytes = skb->len;
	enum weft_reason reason = pop(skb, r);
	struct ethhdr *eth;
	void *ip;
	struct cursor c;

	if (reason)
		return reason;
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	ip = take(&c, sizeof(struct iphdr));
	/* unreached: read before, and asked again for the verifier */
	if (!eth || !ip)
		return WEFT_R_POP_FAILED;
	rewrite_received(eth, ip, r);
	count_received(r->stats_index, packets, outer_bytes);
	return hand_to_pod(skb, r->pod->ifindex, WEFT_R_DECAP_TO_POD);
}

/* What only the host stack can handle, of an encapsulation that the kernel does not take off itself. It enters through weft.1,
 * like what the vxlan driver decapsulates: reverse-path filters and -i rules see one device whatever the way between nodes. */
static __always_inline enum weft_reason pop_to_host(struct __sk_buff *skb, const struct suspect *who,
						    const struct received *r)
{
	const __u32 packets = wire_packets(skb), outer_bytes = skb->len;
	enum weft_reason reason = WEFT_R_NONE;
	struct ethhdr *eth;
	void *ip;
	struct cursor c;

	if (r->encap == WEFT_ENCAP_DIRECT && checks(WEFT_R_INNER_DISCOVERY) && weft_is_discovery(skb))
		reason = refuse(who, WEFT_R_INNER_DISCOVERY); /* in the others there is no IPv6 */
	if (!reason)
		reason = pop(skb, r);
	if (reason)
		return reason;
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	ip = take(&c, sizeof(struct iphdr));
	/* unreached: read before, and asked again for the verifier */
	if (!eth || !ip)
		return WEFT_R_POP_FAILED;
	if (r->ecn != (r->inner.tos & ECN_MASK))
		ip_set_ecn(ip, r->inner.version, r->ecn);
	write_vtep_mac(eth->h_dest); /* or weft.1 takes it for somebody else's */
	count_received(r->stats_index, packets, outer_bytes);
	skb->mark = RECEIVED_MARK;
	/* unreached: a test run redirects nowhere, so nothing is refused */
	if (bpf_redirect(cfg.vtep_ifindex, BPF_F_INGRESS) != TC_ACT_REDIRECT)
		return WEFT_R_REDIRECT_FAILED;
	return WEFT_R_DECAP_TO_HOST;
}

/* Makes linear what judge_received() reads: the outer header, and what is behind it where that may be a tunnel's. */
static __always_inline void ensure_received(struct __sk_buff *skb)
{
	const bool v4 = skb->protocol == bpf_htons(ETH_P_IP);
	const struct udphdr *udp;
	const struct iphdr *ip;
	struct cursor c;
	__u8 proto;

	ensure_headers(skb, ETH_HLEN);
	c = skb_cursor(skb);
	if (!take(&c, ETH_HLEN))
		return;
	ip = take(&c, sizeof(*ip));
	if (!ip)
		return;
	proto = v4 ? ip->protocol : ((const struct ipv6hdr *)ip)->nexthdr;
	if (v4 && proto == IPPROTO_IPIP)
		return ensure_headers(skb, ETH_HLEN + WEFT_IPIP_OVERHEAD);
	if (proto != IPPROTO_UDP || (!v4 && !take(&c, sizeof(struct ipv6hdr) - sizeof(*ip))))
		return;
	udp = take(&c, sizeof(*udp));
	if (!udp)
		return;
	if (udp->dest == bpf_htons(cfg.port))
		ensure_headers(skb, ETH_HLEN + (v4 ? WEFT_VXLAN_OVERHEAD : WEFT_VXLAN6_OVERHEAD));
	else if (v4 && udp->dest == bpf_htons(cfg.udp_port))
		ensure_headers(skb, ETH_HLEN + WEFT_UDP_OVERHEAD);
}

static __always_inline enum weft_reason from_wire(struct __sk_buff *skb, struct suspect *who)
{
	const struct popped_mark *mark;
	struct received r = {};
	enum weft_reason reason;
	struct cursor c;

	reason = untag(skb);
	mark = popped_mark_of(skb);
	/* XDP cannot see a tag that the driver took off.
	 * unreached: a test run has no metadata of another hook: tests/netns */
	if (mark && reason)
		return WEFT_R_POP_FAILED;
	if (reason)
		return reason;
	/* unreached: a test run has no metadata of another hook: tests/netns */
	if (mark) {
		const __u32 ifindex = mark->ifindex;

		bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
		return hand_to_pod(skb, ifindex, WEFT_R_DECAP_TO_POD);
	}
	if (!is_ip_ethertype(skb->protocol))
		return WEFT_R_NOT_IP;
	ensure_received(skb);
	c = skb_cursor(skb);
	reason = judge_received(skb, skb->ifindex, &c, skb->len, who, &r);
	if (!reason && r.encap != WEFT_ENCAP_DIRECT)
		reason = survives_pop(skb, &r);
	if (!reason)
		reason = skb_ask_conntrack(skb, &r.inner);
	if (!reason)
		return pop_and_deliver(skb, &r);
	if (r.taken && !is_vxlan(r.encap))
		return pop_to_host(skb, who, &r);
	return reason;
}

SEC("tc")
int weft_from_wire(struct __sk_buff *skb)
{
	struct suspect who = tc_suspect(skb, WEFT_HOOK_FROM_WIRE);

	return finish_tc(skb, &who, from_wire(skb, &who));
}
