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

static __always_inline struct weft_ip4 ip4_from(__be32 raw)
{
	struct weft_ip4 addr;

	__builtin_memcpy(&addr, &raw, sizeof(addr));
	return addr;
}

static __always_inline bool in_net(__be32 addr, const volatile struct weft_ip4 *net, const volatile struct weft_ip4 *mask)
{
	return (addr & ip4_of(mask)) == ip4_of(net);
}

#endif
