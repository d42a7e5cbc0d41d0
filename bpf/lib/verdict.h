/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_VERDICT_H
#define WEFT_LIB_VERDICT_H

/* The one door: every packet leaves a program through finish_tc() or finish_xdp(), which count the reason and turn its class
 * into the hook's code. A verdict is named nowhere else (tests/lint). */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "lib/suspect.h"

/* Packets as they are on the wire: a GSO packet stands for its segments. To be asked before a push or pop, which zeroes
 * gso_segs; another node's push may have done so already. */
static __always_inline __u32 wire_packets(const struct __sk_buff *skb)
{
	if (skb->gso_segs)
		return skb->gso_segs;
	if (!skb->gso_size)
		return 1;
	return (skb->len + skb->gso_size - 1) / skb->gso_size;
}

static __always_inline void count(enum weft_hook hook, enum weft_reason reason, __u32 packets, __u32 bytes)
{
	__u32 index = hook * WEFT_R_COUNT + reason;
	struct weft_counter *counter = bpf_map_lookup_elem(&weft_counters, &index);

	/* unreached: an array has all of its elements */
	if (!counter)
		return;
	counter->packets += packets;
	counter->bytes += bytes;
}

/* A sampled drop, with the head of the packet. A full ring loses it: the counter above is the truth. */
static __always_inline struct weft_event *event_start(enum weft_hook hook, enum weft_reason reason, __u32 ifindex,
						      __u32 length)
{
	struct weft_event *event;

	if (bpf_get_prandom_u32() & cfg.event_sample_mask)
		return NULL;
	event = bpf_ringbuf_reserve(&weft_events, sizeof(*event), 0);
	if (!event)
		return NULL;
	event->time_ns = bpf_ktime_get_ns();
	event->ifindex = ifindex;
	event->length = length;
	event->hook = hook;
	event->reason = reason;
	event->reserved = 0;
	__builtin_memset(event->packet, 0, sizeof(event->packet));
	return event;
}

/* The first bytes of the packet as far as they are linear, in steps that need no bounded-length helper. */
static __always_inline void event_submit(struct weft_event *event, const void *data, const void *data_end)
{
	enum { SHORT_SNAP = 48 };

	event->snapped = 0;
	if (data + WEFT_EVENT_SNAP <= data_end) {
		__builtin_memcpy(event->packet, data, WEFT_EVENT_SNAP);
		event->snapped = WEFT_EVENT_SNAP;
	} else if (data + SHORT_SNAP <= data_end) {
		__builtin_memcpy(event->packet, data, SHORT_SNAP);
		event->snapped = SHORT_SNAP;
	}
	bpf_ringbuf_submit(event, 0);
}

/* To be made before the handler runs, which fills in the sender. */
static __always_inline struct suspect tc_suspect(const struct __sk_buff *skb, enum weft_hook hook)
{
	return (struct suspect){.key = {.hook = hook}, .packets = wire_packets(skb), .bytes = skb->len};
}

/* Of the whole packet, not only of the part in the first buffer. Kernels that cannot tell show no packets of several. */
static __always_inline __u32 xdp_length(struct xdp_md *ctx)
{
	/* unreached: by kernels that lack it, where tests/kernels runs the same tables */
	return cfg.xdp_frags ? bpf_xdp_get_buff_len(ctx) : ctx->data_end - ctx->data;
}

static __always_inline struct suspect xdp_suspect(struct xdp_md *ctx, enum weft_hook hook)
{
	return (struct suspect){.key = {.hook = hook}, .packets = 1, .bytes = xdp_length(ctx)};
}

static __always_inline int finish_tc(struct __sk_buff *skb, const struct suspect *who, enum weft_reason reason)
{
	const enum weft_hook hook = who->key.hook;
	struct weft_event *event;

	count(hook, reason, who->packets, skb->len);
	if (reason < WEFT_R_FIRST_STACK)
		return TC_ACT_REDIRECT;
	/* Not TC_ACT_OK: other programs on the same hook still get their turn. */
	if (reason < WEFT_R_FIRST_DROP)
		return TC_ACT_UNSPEC;
	note(who, reason, false);
	event = event_start(hook, reason, skb->ifindex, skb->len);
	if (event)
		event_submit(event, (void *)(long)skb->data, (void *)(long)skb->data_end);
	return TC_ACT_SHOT;
}

static __always_inline int finish_xdp(struct xdp_md *ctx, const struct suspect *who, enum weft_reason reason)
{
	const __u32 length = xdp_length(ctx);
	const enum weft_hook hook = who->key.hook;
	struct weft_event *event;

	count(hook, reason, 1, length);
	if (reason < WEFT_R_FIRST_DROP)
		return XDP_PASS;
	note(who, reason, false);
	event = event_start(hook, reason, ctx->ingress_ifindex, length);
	if (event)
		event_submit(event, (void *)(long)ctx->data, (void *)(long)ctx->data_end);
	return XDP_DROP;
}

#endif
