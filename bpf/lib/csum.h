/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_CSUM_H
#define WEFT_LIB_CSUM_H

/* Internet checksums, RFC 1071 and RFC 1624. Pure: no helper, no map, so that tests/unit compiles it natively too. */
#include <linux/types.h>
#include <linux/ip.h>

static inline __attribute__((always_inline)) __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* Checksum of a 20-byte header, whatever its check field holds now. */
static inline __attribute__((always_inline)) __u16 ip4_header_csum(const struct iphdr *ip)
{
	const __u32 *word = (const __u32 *)ip;
	__u64 sum = (__u64)word[0] + word[1] + word[3] + word[4];

	/* Word 2 is TTL, protocol and the check field itself, which counts as zero. */
	sum += *(const __u16 *)&ip->ttl;
	return csum_fold(sum);
}

/* Whether a 20-byte header's checksum is right. */
static inline __attribute__((always_inline)) int ip4_header_csum_ok(const struct iphdr *ip)
{
	const __u32 *word = (const __u32 *)ip;

	return !csum_fold((__u64)word[0] + word[1] + word[2] + word[3] + word[4]);
}

/* RFC 1624, equation 3: the checksum after one 16-bit word (wire order) changed. */
static inline __attribute__((always_inline)) __u16 csum_replace16(__u16 check, __u16 old_word, __u16 new_word)
{
	return csum_fold((__u64)(__u16)~check + (__u16)~old_word + new_word);
}

#endif
