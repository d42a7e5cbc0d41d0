/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_CONFIG_H
#define WEFT_LIB_CONFIG_H

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "lib/address.h"
#include "weft_abi.h"
#include "weft_maps.h"

enum {
	ADDRESS_FAMILY_INET = 2, /* AF_INET and AF_INET6: <sys/socket.h> is no header for BPF */
	ADDRESS_FAMILY_INET6 = 10,
};

/* Frozen when weftd loads the programs: the verifier sees constants and drops what is off. */
const volatile struct weft_cfg cfg = {};

/* Whether an encapsulation is taken from the wire. */
static __always_inline bool takes(__u32 encap)
{
	return cfg.encaps & (1U << encap);
}

/* Read through volatile like everything in cfg: without it clang takes the initial zeros for the truth. */
static __always_inline void write_vtep_mac(__u8 *mac)
{
	const volatile __u16 *from = (const volatile __u16 *)&cfg.vtep_mac;
	__u16 word[3] = {from[0], from[1], from[2]};

	__builtin_memcpy(mac, word, sizeof(word));
}

static __always_inline bool is_vtep_mac(const __u8 *mac)
{
	const volatile __u16 *ours = (const volatile __u16 *)&cfg.vtep_mac;
	__u16 word[3];

	__builtin_memcpy(word, mac, sizeof(word));
	return word[0] == ours[0] && word[1] == ours[1] && word[2] == ours[2];
}

/* struct bpf_tunnel_key as every kernel knows it: local addresses came last (6.0), and before, a longer one is refused. */
enum { TUNNEL_KEY_LEN = __builtin_offsetof(struct bpf_tunnel_key, local_ipv4) };

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	__u16 one[3], other[3];

	__builtin_memcpy(one, a, sizeof(one));
	__builtin_memcpy(other, b, sizeof(other));
	return one[0] == other[0] && one[1] == other[1] && one[2] == other[2];
}

static __always_inline bool in_pod_network(const struct weft_ip *addr)
{
	return in_net(addr, &cfg.network[WEFT_IPV4]) || in_net(addr, &cfg.network[WEFT_IPV6]);
}

static __always_inline bool in_own_subnet(const struct weft_ip *addr)
{
	return in_net(addr, &cfg.subnet[WEFT_IPV4]) || in_net(addr, &cfg.subnet[WEFT_IPV6]);
}

static __always_inline bool is_this_node(const struct weft_ip *addr)
{
	/* unreached: the first half of IPv4 is zero, so nothing but that is compared where both are */
	return is_constant_ip(addr, &cfg.node[WEFT_IPV4]) || is_constant_ip(addr, &cfg.node[WEFT_IPV6]);
}

static __always_inline __be32 node_ip4(void)
{
	return *(const volatile __be32 *)&cfg.node[WEFT_IPV4].octet[12];
}

static __always_inline void write_node_ip6(void *to)
{
	const volatile __u64 *from = (const volatile __u64 *)&cfg.node[WEFT_IPV6];
	__u64 word[2] = {from[0], from[1]};

	__builtin_memcpy(to, word, sizeof(word));
}

#endif
