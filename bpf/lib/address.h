/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_ADDRESS_H
#define WEFT_LIB_ADDRESS_H

/* Addresses of either family in their one form (weft_abi.h), two words at a time, and both by one test: from a test of each the
 * verifier would remember what is known of that word, and walk on from there by itself, for each address anew. */
#include <stdbool.h>

#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "weft_abi.h"

/* In wire order, like the octets. */
struct ip_words {
	__u64 high;
	__u64 low;
};

enum { MAPPED_BITS = 96 }; /* of ::ffff:0:0/96, where IPv4 lies */

static __always_inline struct ip_words words_of(const struct weft_ip *addr)
{
	struct ip_words words;

	__builtin_memcpy(&words, addr, sizeof(words));
	return words;
}

static __always_inline void set_ip4(struct weft_ip *addr, __be32 raw)
{
	const __be32 mapped[4] = {0, 0, bpf_htonl(0xffff), raw};

	__builtin_memcpy(addr, mapped, sizeof(mapped));
}

static __always_inline bool is_ip4(const struct weft_ip *addr)
{
	const struct ip_words words = words_of(addr);

	return !(words.high | ((words.low & bpf_cpu_to_be64(0xffffffff00000000)) ^ bpf_cpu_to_be64(0xffff00000000)));
}

/* Of an address that is IPv4. */
static __always_inline __be32 ip4_of(const struct weft_ip *addr)
{
	__be32 raw;

	__builtin_memcpy(&raw, addr->octet + 12, sizeof(raw));
	return raw;
}

static __always_inline bool same_ip(const struct weft_ip *a, const struct weft_ip *b)
{
	const struct ip_words one = words_of(a), other = words_of(b);

	return !((one.high ^ other.high) | (one.low ^ other.low));
}

/* The first `bits` of 64, in two shifts, because one by 64 is undefined. */
static __always_inline __u64 word_mask(__u32 bits)
{
	return bpf_cpu_to_be64(~(~0ULL >> (bits / 2) >> (bits - bits / 2)));
}

/* The first `bits` of 128, the rest zero. Without a branch: the verifier would walk on from each side of it. */
static __always_inline void masked_ip(struct weft_ip *to, const struct weft_ip *addr, __u32 bits)
{
	const __s32 beyond = bits - 64;
	const __u32 low = beyond & ~(beyond >> 31);
	struct ip_words words = words_of(addr);

	words.high &= word_mask(bits - low);
	words.low &= word_mask(low);
	__builtin_memcpy(to, &words, sizeof(words));
}

/* Constants of a load are read through volatile: without it clang takes their initial zeros for the truth. */
static __always_inline bool in_net(const struct weft_ip *addr, const volatile struct weft_net *net)
{
	const volatile __u64 *base = (const volatile __u64 *)&net->base, *mask = (const volatile __u64 *)&net->mask;
	const struct ip_words words = words_of(addr);

	return !(((words.high & mask[0]) ^ base[0]) | ((words.low & mask[1]) ^ base[1]));
}

static __always_inline bool is_constant_ip(const struct weft_ip *addr, const volatile struct weft_ip *constant)
{
	const volatile __u64 *other = (const volatile __u64 *)constant;
	const struct ip_words words = words_of(addr);

	return !((words.high ^ other[0]) | (words.low ^ other[1]));
}

/* Multicast, or IPv4's broadcast to the link. */
static __always_inline bool is_group(const struct weft_ip *addr)
{
	if (is_ip4(addr))
		return (addr->octet[12] & 0xf0) == 0xe0 || ip4_of(addr) == 0xffffffff;
	return addr->octet[0] == 0xff;
}

static __always_inline bool is_link_local(const struct weft_ip *addr)
{
	if (is_ip4(addr))
		return addr->octet[12] == 169 && addr->octet[13] == 254;
	return addr->octet[0] == 0xfe && (addr->octet[1] & 0xc0) == 0x80;
}

static __always_inline bool is_unspecified(const struct weft_ip *addr)
{
	const struct ip_words words = words_of(addr);

	return is_ip4(addr) ? !ip4_of(addr) : !(words.high | words.low);
}

/* What no packet may have on its way from node to node: IPv4's 0/8, 127/8 and 240/4, IPv6's :: and ::1, addresses of a link,
 * and groups. */
static __always_inline bool is_martian(const struct weft_ip *addr)
{
	const struct ip_words words = words_of(addr);

	if (is_group(addr) || is_link_local(addr))
		return true;
	if (is_ip4(addr))
		return addr->octet[12] == 0 || addr->octet[12] == 127 || addr->octet[12] >= 240;
	return !(words.high | (words.low & ~bpf_cpu_to_be64(1)));
}

#endif
