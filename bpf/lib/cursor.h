/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_CURSOR_H
#define WEFT_LIB_CURSOR_H

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* Bounds-checked reading of a packet, for tc and XDP alike. A cursor dies with its packet pointers: after any helper that may
 * move the packet (pull, adjust_room, adjust_head, adjust_meta) make a new one. */
struct cursor {
	void *pos;
	void *end;
};

static __always_inline struct cursor skb_cursor(const struct __sk_buff *skb)
{
	return (struct cursor){(void *)(long)skb->data, (void *)(long)skb->data_end};
}

static __always_inline struct cursor xdp_cursor(const struct xdp_md *ctx)
{
	return (struct cursor){(void *)(long)ctx->data, (void *)(long)ctx->data_end};
}

/* The next len bytes, or NULL if the packet (its linear part) ends before. */
static __always_inline void *take(struct cursor *c, __u32 len)
{
	void *start = c->pos;

	/* unreached: no packet begins at address 0 */
	if (start + len > c->end)
		return NULL;
	c->pos = start + len;
	return start;
}

/* Makes the first len bytes of the packet readable. Pulls no more than asked: pulling deep into a fraglist GSO packet has
 * corrupted or crashed kernels before 6.16. */
static __always_inline void ensure_linear(struct __sk_buff *skb, __u32 len)
{
	/* unreached: a test run's packets are in one piece: tests/netns */
	if ((void *)(long)skb->data + len > (void *)(long)skb->data_end && skb->len >= len)
		bpf_skb_pull_data(skb, len);
}

#endif
