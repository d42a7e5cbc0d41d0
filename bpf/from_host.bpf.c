// SPDX-License-Identifier: GPL-2.0-only
/* tc egress of weft.1: what the host's stack sends into the pod network, its own packets and those it forwards (NATed flows,
 * ICMP, fragments, everything the fast path left to it). The stack has taken its hop from the TTL and has fitted the packet to
 * weft.1's MTU; what still cannot be pushed here goes to the vxlan driver with a tunnel key. */
#include "lib/deliver.h"
#include "lib/push.h"

/* measurable: v has all that fits_path() wants. */
static __always_inline enum weft_reason push_here(struct __sk_buff *skb, const struct weft_lease *lease,
						  const struct ip_view *v, bool measurable)
{
	enum weft_reason reason = WEFT_R_NONE;

	if (measurable)
		reason = fits_path(skb, v, lease->mtu);
	else if (lease->encap != WEFT_ENCAP_DIRECT) /* where nothing is added, what fits weft.1 fits */
		reason = WEFT_R_GSO_UNKNOWN;
	if (reason)
		return reason;
	reason = push(skb, lease, v, false);
	if (reason)
		return reason;
	return send_by_route(skb, lease);
}

/* The packet is unchanged. Behind this hook is the vxlan driver. */
static __always_inline enum weft_reason leave_to_driver(struct __sk_buff *skb, const struct weft_lease *lease,
							const struct ip_view *v)
{
	enum weft_reason reason;

	if (!is_vxlan(lease->encap))
		return WEFT_R_CANNOT_PUSH;
	reason = key_for_driver(skb, lease, v, false);
	return reason ? reason : WEFT_R_KERNEL_ENCAP;
}

/* Addresses of a link: multicast, and IPv6's fe80::/10. */
static __always_inline bool is_link_scope(const struct weft_ip *addr)
{
	if (is_ip4(addr))
		return (addr->octet[12] & 0xf0) == 0xe0;
	return addr->octet[0] == 0xff || (addr->octet[0] == 0xfe && (addr->octet[1] & 0xc0) == 0x80);
}

static __always_inline enum weft_reason from_host(struct __sk_buff *skb)
{
	struct weft_lease *lease;
	enum weft_reason reason;
	struct ip_view v = {};
	struct ethhdr *eth;
	struct cursor c;

	if (!is_ip_ethertype(skb->protocol))
		return WEFT_R_TUNNEL_NOT_IP;
	if (skb->mark == KEYED_MARK) {
		skb->mark = 0;
		return WEFT_R_KERNEL_ENCAP;
	}
	ensure_headers(skb, ETH_HLEN);
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	if (!eth)
		return WEFT_R_TUNNEL_NOT_IP;
	reason = ip_view_header(&c, skb->protocol, skb->len - ETH_HLEN, &v);
	if (reason)
		return WEFT_R_BAD_IP;
	if (is_link_scope(&v.daddr))
		return WEFT_R_LINK_SCOPE;
	lease = lease_of(&v.daddr);
	/* unreached: behind weft_prefix_len(), which has just found it */
	if (!lease)
		return WEFT_R_NO_ROUTE;
	if (lease->encap == WEFT_ENCAP_NONE)
		return WEFT_R_NO_ROUTE;
	if (lease->flags & WEFT_LEASE_OUTER_CSUM)
		return leave_to_driver(skb, lease, &v);
	/* Only a GSO packet's header length matters. TCP's and UDP's is known; SCTP's packets say nothing of their segments. */
	reason = push_here(skb, lease, &v, !skb->gso_size || !ip_view_l4(&c, &v));
	/* unreached: what fails once the packet is another, which nothing in a test run does */
	if (reason < WEFT_R_FIRST_STACK || reason >= WEFT_R_FIRST_DROP)
		return reason;
	return leave_to_driver(skb, lease, &v);
}

SEC("tc")
int weft_from_host(struct __sk_buff *skb)
{
	const struct suspect who = tc_suspect(skb, WEFT_HOOK_FROM_HOST);

	return finish_tc(skb, &who, from_host(skb));
}
