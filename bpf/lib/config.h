/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_CONFIG_H
#define WEFT_LIB_CONFIG_H

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "weft_abi.h"
#include "weft_maps.h"

/* Frozen when weftd loads the programs: the verifier sees constants and drops what is off. */
const volatile struct weft_cfg cfg = {};

static __always_inline __be32 ip4_of(const volatile struct weft_ip4 *addr)
{
	return *(const volatile __be32 *)addr;
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

static __always_inline struct weft_ip4 ip4_from(__be32 raw)
{
	struct weft_ip4 addr;

	__builtin_memcpy(&addr, &raw, sizeof(addr));
	return addr;
}

static __always_inline bool in_net(__be32 addr, const volatile struct weft_ip4 *net,
				   const volatile struct weft_ip4 *mask)
{
	return (addr & ip4_of(mask)) == ip4_of(net);
}

#endif
