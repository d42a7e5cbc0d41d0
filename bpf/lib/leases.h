/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_LEASES_H
#define WEFT_LIB_LEASES_H

#include "lib/suspect.h"

static __always_inline struct weft_lease *lease_under(const struct weft_ip *addr, __u32 prefix_len)
{
	struct weft_lease_key key = {.prefix_len = prefix_len};

	masked_ip(&key.subnet, addr, (is_ip4(addr) ? MAPPED_BITS : 0) + prefix_len);
	return bpf_map_lookup_elem(&weft_leases, &key);
}

static __always_inline const struct weft_prefix_lens *prefix_lens_for(const struct weft_ip *addr)
{
	__u32 zero = 0;
	struct weft_state *state = bpf_map_lookup_elem(&weft_state, &zero);

	/* unreached: an array has all of its elements */
	return state ? &state->prefix_lens[is_ip4(addr) ? WEFT_IPV4 : WEFT_IPV6] : NULL;
}

enum { NO_PREFIX = -1 };

/* Of the lease that covers the address with these words, when the first of the lengths in use is not its. A global function,
 * which the verifier walks through once: as a loop in lease_of() it would be most of what loading takes. */
__noinline int weft_prefix_len(__u64 high, __u64 low)
{
	const struct ip_words words = {high, low};
	const struct weft_prefix_lens *lens;
	struct weft_ip addr;
	__u32 i;

	__builtin_memcpy(&addr, &words, sizeof(addr));
	lens = prefix_lens_for(&addr);
	for (i = 1; lens && i < WEFT_MAX_PREFIX_LENS && i < lens->count; i++)
		if (lease_under(&addr, lens->len[i]))
			return lens->len[i];
	return NO_PREFIX;
}

/* The lease with the longest prefix that covers addr. A cluster has one SubnetLen but for leases from before it changed, so
 * this is one hash look-up where a trie walks bits (10 ns against 62 with 2,000 leases). */
static __always_inline struct weft_lease *lease_of(const struct weft_ip *addr)
{
	const struct weft_prefix_lens *lens = prefix_lens_for(addr);
	const struct ip_words words = words_of(addr);
	struct weft_lease *lease;
	int prefix_len;

	if (!lens || !lens->count)
		return NULL;
	lease = lease_under(addr, lens->len[0]);
	if (lease || lens->count == 1)
		return lease;
	prefix_len = weft_prefix_len(words.high, words.low);
	return prefix_len == NO_PREFIX ? NULL : lease_under(addr, prefix_len);
}

static __always_inline struct weft_endpoint *endpoint_of(const struct weft_ip *addr)
{
	return bpf_map_lookup_elem(&weft_endpoints, addr);
}

static __always_inline struct weft_lease_stats *lease_stats_of(__u32 stats_index)
{
	return bpf_map_lookup_elem(&weft_lease_stats, &stats_index);
}

/* Counts nowhere: what a sender without a lease was let send. */
enum { NO_STATS = 0xffffffff };

/* This node, or a pod on it: neither sends anything by the wire. */
static __always_inline bool is_ours(const struct weft_ip *addr)
{
	return in_own_subnet(addr) || is_this_node(addr) || endpoint_of(addr);
}

/* The check that an inner source with these words fails, being of no lease of the sender's. Rare, and a global function for the
 * verifier's sake, like weft_prefix_len(). */
__noinline int weft_other_source(__u64 high, __u64 low)
{
	const struct ip_words words = {high, low};
	struct weft_ip saddr;

	__builtin_memcpy(&saddr, &words, sizeof(saddr));
	if (checks(WEFT_R_MARTIAN_SOURCE) && is_martian(&saddr))
		return WEFT_R_MARTIAN_SOURCE;
	if (checks(WEFT_R_OWN_SOURCE) && is_ours(&saddr))
		return WEFT_R_OWN_SOURCE;
	return in_pod_network(&saddr) ? WEFT_R_SPOOFED_SOURCE : WEFT_R_FOREIGN_SOURCE;
}

static __always_inline enum weft_reason check_other_source(const struct suspect *who, const struct weft_ip *saddr)
{
	const struct ip_words words = words_of(saddr);

	return refuse_any(who, weft_other_source(words.high, words.low));
}

/* May the node at outer_saddr send a packet with this inner source? Tunnels authenticate nobody, so a tunnel packet counts as
 * much as its outer source: it must hold a lease, and an inner source from the pod network must be of that lease. One outside
 * the pod network (a node that routes for others) is for an operator to allow. *stats_index is where to count the packet. */
static __always_inline enum weft_reason check_sender(const struct suspect *who, const struct weft_ip *outer_saddr,
						     const struct weft_ip *inner_saddr, __u32 *stats_index)
{
	struct weft_lease *lease = lease_of(inner_saddr);
	enum weft_reason reason;
	struct weft_node *node;

	/* unreached: behind weft_prefix_len(), which has just found it */
	if (lease && same_ip(&lease->node, outer_saddr)) {
		*stats_index = lease->stats_index;
		return WEFT_R_NONE;
	}
	node = bpf_map_lookup_elem(&weft_nodes, outer_saddr);
	*stats_index = node ? node->stats_index : NO_STATS;
	if (!node) {
		reason = refuse(who, WEFT_R_UNKNOWN_SENDER);
		if (reason)
			return reason;
	}
	return check_other_source(who, inner_saddr);
}

/* Why no node sends to the address with these words, where no pod here has it; or none. Rare, as weft_other_source(). */
__noinline int weft_other_destination(__u64 high, __u64 low)
{
	const struct ip_words words = {high, low};
	struct weft_ip daddr;

	__builtin_memcpy(&daddr, &words, sizeof(daddr));
	if (in_own_subnet(&daddr))
		return WEFT_R_NONE;
	if (checks(WEFT_R_MARTIAN_DESTINATION) && is_martian(&daddr))
		return WEFT_R_MARTIAN_DESTINATION;
	return is_this_node(&daddr) ? WEFT_R_NONE : WEFT_R_OTHER_DESTINATION;
}

/* An inner destination that is no pod's here. Each node sends what is in a lease to that lease's node, and nothing else: what
 * leads on from here was to hide where it comes from. */
static __always_inline enum weft_reason check_other_destination(const struct suspect *who, const struct weft_ip *daddr)
{
	const struct ip_words words = words_of(daddr);

	return refuse_any(who, weft_other_destination(words.high, words.low));
}

enum whose_mac { MAC_UNKNOWN, MAC_OF_NODE, MAC_OF_ANOTHER };

/* Is this MAC the one of the lease's node? weftd keeps it where there is a way without a tunnel, also while the kernel has
 * forgotten the neighbour; the kernel's table follows a change at once, but can be asked for a next hop only, which the node is
 * not where our way to it leads through a router. */
static __noinline enum whose_mac whose_mac(void *ctx, __u32 ifindex, const struct weft_lease *lease, const __u8 *mac)
{
	struct bpf_fib_lookup fib = {.ifindex = ifindex};

	if (same_mac(mac, lease->link_mac.octet))
		return MAC_OF_NODE;
	if (!same_ip(&lease->next_hop, &lease->node))
		return MAC_UNKNOWN;
	if (is_ip4(&lease->next_hop)) {
		fib.family = ADDRESS_FAMILY_INET;
		fib.ipv4_dst = ip4_of(&lease->next_hop);
	} else {
		fib.family = ADDRESS_FAMILY_INET6;
		__builtin_memcpy(fib.ipv6_dst, &lease->next_hop, sizeof(fib.ipv6_dst));
	}
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return MAC_UNKNOWN;
	return same_mac(mac, fib.dmac) ? MAC_OF_NODE : MAC_OF_ANOTHER;
}

/* The same without an outer source: the inner one must be another node's pod's, and the frame that node's. */
static __always_inline enum weft_reason check_direct_sender(void *ctx, __u32 ifindex, const struct suspect *who,
							    const struct weft_ip *inner_saddr, __u32 *stats_index)
{
	struct weft_lease *lease = lease_of(inner_saddr);

	/* unreached: behind weft_prefix_len(), which has just found it */
	if (!lease) {
		*stats_index = NO_STATS;
		if (checks(WEFT_R_OWN_SOURCE) && is_ours(inner_saddr))
			return refuse(who, WEFT_R_OWN_SOURCE);
		return refuse(who, WEFT_R_SPOOFED_SOURCE);
	}
	*stats_index = lease->stats_index;
	if (!checks(WEFT_R_WRONG_LINK_MAC) || whose_mac(ctx, ifindex, lease, who->mac.octet) == MAC_OF_NODE)
		return WEFT_R_NONE;
	return refuse(who, WEFT_R_WRONG_LINK_MAC);
}

/* From a pod elsewhere to an address that is no pod's, without a tunnel: how pods that are not masqueraded reach nodes. Where a
 * router is between us and their node, or nobody has asked for its MAC yet, any will do. */
static __always_inline enum weft_reason check_bare_sender(void *ctx, __u32 ifindex, const struct suspect *who,
							  const struct weft_ip *saddr)
{
	struct weft_lease *lease = lease_of(saddr);

	/* unreached: behind weft_prefix_len(), which has just found it */
	if (!lease)
		return refuse(who, WEFT_R_SPOOFED_SOURCE);
	if (!checks(WEFT_R_WRONG_LINK_MAC) || whose_mac(ctx, ifindex, lease, who->mac.octet) != MAC_OF_ANOTHER)
		return WEFT_R_NONE;
	return refuse(who, WEFT_R_WRONG_LINK_MAC);
}

#endif
