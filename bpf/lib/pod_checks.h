/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_POD_CHECKS_H
#define WEFT_LIB_POD_CHECKS_H

/* What a pod may send, wherever it goes: from its own addresses and MAC, and nothing that speaks for the network. */
#include <linux/if_ether.h>

#include "lib/carried.h"
#include "lib/leases.h"
#include "lib/verdict.h"

/* RFC 826 for Ethernet and IPv4. <linux/if_arp.h> is no header for BPF. */
struct arp_packet {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target[4];
} __attribute__((packed));

enum {
	ICMP_REDIRECT_TYPE = 5,
	ND_HOPS = 255, /* no router let it pass (RFC 4861) */
	DHCP_SERVER = 67,
	DHCP_CLIENT = 68,
	DHCPV6_SERVER = 547,
	DHCPV6_CLIENT = 546,
};

/* RFC 4861: a solicitation and an advertisement, up to where options start. */
struct nd_packet {
	struct icmp_head head;
	struct weft_ip target;
};

static __always_inline struct suspect pod_suspect(const struct __sk_buff *skb)
{
	struct suspect who = tc_suspect(skb, WEFT_HOOK_FROM_POD);

	who.key.ifindex = skb->ifindex;
	return who;
}

/* The sending pod's entry for one of its addresses; NULL: not its own. */
static __always_inline struct weft_endpoint *own_endpoint(const struct suspect *who, const struct weft_ip *addr)
{
	struct weft_endpoint *endpoint = endpoint_of(addr);

	return endpoint && endpoint->ifindex == who->key.ifindex ? endpoint : NULL;
}

/* Whether an operator has given the pod this address beside its own. */
static __always_inline bool is_allowed(const struct suspect *who, const struct weft_ip *addr)
{
	struct weft_allowed_key key = {
		.prefix_len = 8 * (sizeof(key) - sizeof(key.prefix_len)),
		.ifindex = who->key.ifindex,
		.addr = *addr,
	};

	return bpf_map_lookup_elem(&weft_allowed, &key) != NULL;
}

static __always_inline bool may_use(const struct suspect *who, const struct weft_ip *addr)
{
	return own_endpoint(who, addr) || is_allowed(who, addr);
}

/* A pod's MAC is what it says it is, as for the kernel's neighbour table: a plugin behind ours, or the pod itself, may change
 * it, and then asks for its gateway's MAC before it sends anything else. Not a group's, none at all, nor the host end's. */
static __always_inline bool may_be_own_mac(const struct weft_endpoint *own, const __u8 *mac)
{
	const bool is_none = !(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);

	return !is_none && !(mac[0] & 1) && !same_mac(mac, own->host_mac.octet);
}

static __always_inline void learn_mac(struct weft_endpoint *own, const __u8 *mac)
{
	if (may_be_own_mac(own, mac) && !same_mac(mac, own->pod_mac.octet))
		__builtin_memcpy(&own->pod_mac, mac, sizeof(own->pod_mac));
}

/* Probes (RFC 5227) have no sender. What is no ARP for Ethernet and IPv4 is for the kernel to refuse. */
static __always_inline enum weft_reason check_arp(struct __sk_buff *skb, const struct suspect *who)
{
	struct cursor c = skb_cursor(skb);
	const struct ethhdr *eth = take(&c, sizeof(*eth));
	const struct arp_packet *arp = take(&c, sizeof(*arp));
	struct weft_endpoint *own;
	enum weft_reason reason;
	struct weft_ip sender;
	__be32 address;

	if (!eth || !arp || arp->protocol != bpf_htons(ETH_P_IP))
		return WEFT_R_NOT_IP;
	__builtin_memcpy(&address, arp->sender, sizeof(address));
	if (!address)
		return WEFT_R_NOT_IP;
	set_ip4(&sender, address);
	own = own_endpoint(who, &sender);
	if (own && may_be_own_mac(own, eth->h_source) && same_mac(arp->sender_mac, eth->h_source)) {
		learn_mac(own, eth->h_source);
		return WEFT_R_NOT_IP;
	}
	if (!own && is_allowed(who, &sender))
		return WEFT_R_NOT_IP;
	reason = refuse(who, WEFT_R_POD_ARP);
	return reason ? reason : WEFT_R_NOT_IP;
}

/* On its own link a pod may speak before it has an address (DHCP, duplicate address detection, group membership) and from
 * any link-local one: there is nobody but the host, and the host forwards neither. */
static __always_inline bool stays_on_link(const struct ip_view *v)
{
	if (is_unspecified(&v->saddr))
		return is_group(&v->daddr);
	return !is_ip4(&v->saddr) && is_link_local(&v->saddr);
}

/* The ICMPv6 type at the cursor; 0 for what is none. */
static __always_inline __u8 icmp6_type(const struct cursor *at, const struct ip_view *v)
{
	struct cursor c = *at;
	const struct icmp_head *icmp = take(&c, sizeof(*icmp));

	return icmp && v->version == 6 && v->proto == NEXT_ICMPV6 ? icmp->type : 0;
}

/* own: of the packet's source; NULL: it is not the pod's own. at: behind the IP header. */
static __always_inline enum weft_reason check_pod_source(const struct suspect *who, const struct cursor *at,
							 const struct ip_view *v, struct weft_endpoint *own)
{
	__u8 type;

	if (own && same_mac(who->mac.octet, own->pod_mac.octet))
		return WEFT_R_NONE;
	if (own) {
		type = icmp6_type(at, v);
		if ((type == ND_SOLICITATION || type == ND_ADVERTISEMENT) && may_be_own_mac(own, who->mac.octet)) {
			learn_mac(own, who->mac.octet);
			return WEFT_R_NONE;
		}
		return refuse(who, WEFT_R_POD_MAC);
	}
	if (!checks(WEFT_R_POD_SOURCE) || stays_on_link(v) || is_allowed(who, &v->saddr))
		return WEFT_R_NONE;
	return refuse(who, WEFT_R_POD_SOURCE);
}

static __always_inline bool is_dhcp_answer(__u8 version, __be16 sport, __be16 dport)
{
	if (version == 4)
		return sport == bpf_htons(DHCP_SERVER) && dport == bpf_htons(DHCP_CLIENT);
	return sport == bpf_htons(DHCPV6_SERVER) && dport == bpf_htons(DHCPV6_CLIENT);
}

/* Another node, this one, or an address of weft.1. */
static __always_inline bool is_a_node(const struct weft_ip *addr)
{
	if (is_this_node(addr) || bpf_map_lookup_elem(&weft_nodes, addr))
		return true;
	return in_own_subnet(addr) && !endpoint_of(addr);
}

static __always_inline bool is_tunnel(const struct carried *carried, __be16 dport)
{
	if (carried->proto == IPPROTO_IPIP)
		return takes(WEFT_ENCAP_IPIP);
	if (carried->proto != IPPROTO_UDP)
		return false;
	return dport == bpf_htons(cfg.port) || (takes(WEFT_ENCAP_UDP) && dport == bpf_htons(cfg.udp_port));
}

static __always_inline enum weft_reason failed_by_icmp6(struct __sk_buff *skb, const struct suspect *who, __u32 at)
{
	struct weft_endpoint *own;
	struct nd_packet nd;

	if (bpf_skb_load_bytes(skb, at, &nd.head, sizeof(nd.head)))
		return WEFT_R_NONE;
	if (nd.head.type == ND_ROUTER_ADVERTISEMENT || nd.head.type == ND_REDIRECT)
		return WEFT_R_POD_ROUTER;
	if (nd.head.type != ND_ADVERTISEMENT || bpf_skb_load_bytes(skb, at, &nd, sizeof(nd)))
		return WEFT_R_NONE;
	own = is_ip4(&nd.target) ? NULL : own_endpoint(who, &nd.target);
	if (own)
		learn_mac(own, who->mac.octet);
	if (own || (!is_ip4(&nd.target) && (is_link_local(&nd.target) || is_allowed(who, &nd.target))))
		return WEFT_R_NONE;
	return WEFT_R_POD_ND;
}

/* The fast path carries nothing of this but DHCP, which has a look of its own. */
static __always_inline enum weft_reason failed_by_carried(struct __sk_buff *skb, const struct suspect *who,
							  const struct ip_view *v)
{
	const struct carried carried = carried_by(skb, v);
	__be16 port[2] = {};

	if (carried.hidden)
		return WEFT_R_POD_HEADERS;
	if (carried.later)
		return WEFT_R_NONE;
	if (carried.proto == IPPROTO_UDP && bpf_skb_load_bytes(skb, carried.at, port, sizeof(port)))
		return WEFT_R_NONE;
	if (is_tunnel(&carried, port[1]) && checks(WEFT_R_POD_TUNNEL) && is_a_node(&v->daddr))
		return WEFT_R_POD_TUNNEL;
	if (carried.proto == IPPROTO_UDP && is_dhcp_answer(v->version, port[0], port[1]))
		return WEFT_R_POD_DHCP;
	if (v->version == 6 && carried.proto == NEXT_ICMPV6)
		return failed_by_icmp6(skb, who, carried.at);
	if (v->version == 4 && carried.proto == IPPROTO_ICMP && !bpf_skb_load_bytes(skb, carried.at, port, 1) &&
	    *(const __u8 *)port == ICMP_REDIRECT_TYPE)
		return WEFT_R_POD_ROUTER;
	return WEFT_R_NONE;
}

/* The check that what a pod sends to the stack fails, or none. A global function, which the verifier walks through once, and
 * not again for each of the hundreds of ways that lead here; kernels before 5.13 let such a function have the packet alone, so
 * it reads that anew. */
__noinline int weft_stack_check(struct __sk_buff *skb)
{
	struct cursor c = skb_cursor(skb);
	const struct ethhdr *eth = take(&c, sizeof(*eth));
	struct suspect who = pod_suspect(skb);
	struct ip_view v = {};

	/* unreached: they have been read before */
	if (!eth || ip_view_header(&c, skb->protocol, skb->len - ETH_HLEN, &v))
		return WEFT_R_POD_HEADERS;
	__builtin_memcpy(&who.mac, eth->h_source, sizeof(who.mac));
	return failed_by_carried(skb, &who, &v);
}

#endif
