// SPDX-License-Identifier: GPL-2.0-only
/* XDP on the uplink, an object of its own because libxdp loads it (as a component behind its dispatcher where the kernel can):
 * pops the outer header before the kernel makes an skb, so that GRO joins the inner segments. Delivery is
 * the tc program's, told by XDP metadata. What this does not take goes on whole. */
#include "lib/conntrack.h"
#include "lib/receive.h"
#include "lib/verdict.h"

static __always_inline enum weft_reason leave_mark(struct xdp_md *ctx, __u32 ifindex)
{
	struct popped_mark *mark;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return WEFT_R_NO_METADATA;
	mark = (void *)(long)ctx->data_meta;
	/* unreached: made just now, and asked for the verifier */
	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return WEFT_R_NO_METADATA;
	mark->magic = POPPED_MAGIC;
	mark->ifindex = ifindex;
	return WEFT_R_NONE;
}

static __always_inline enum weft_reason xdp_wire(struct xdp_md *ctx, struct suspect *who)
{
	struct cursor c = xdp_cursor(ctx);
	const __u32 frame_len = xdp_length(ctx);
	struct received r = {};
	enum weft_reason reason;
	struct ethhdr *eth;
	void *ip;

	reason = judge_received(ctx, ctx->ingress_ifindex, &c, frame_len, who, &r);
	/* unreached: what check_bare() leaves to the stack has a reason */
	if (reason)
		return reason;
	if (r.encap == WEFT_ENCAP_DIRECT)
		return WEFT_R_NOT_OVERLAY; /* nothing to pop: GRO and tc do as well without this */
	reason = xdp_ask_conntrack(ctx, &r.inner);
	if (reason)
		return reason;
	reason = leave_mark(ctx, r.pod->ifindex);
	if (reason)
		return reason;
	/* unreached: what is popped was read */
	if (bpf_xdp_adjust_head(ctx, r.overhead))
		return WEFT_R_POP_FAILED;
	c = xdp_cursor(ctx);
	eth = take(&c, sizeof(*eth));
	ip = take(&c, sizeof(struct iphdr));
	/* unreached: read before, and asked again for the verifier */
	if (!eth || !ip)
		return WEFT_R_POP_FAILED;
	rewrite_received(eth, ip, &r);
	count_received(r.stats_index, 1, frame_len);
	return WEFT_R_XDP_POPPED;
}

/* Where the kernel can (5.18), weftd loads it for frames in several buffers: jumbo frames; the headers are in the first. */
SEC("xdp")
int weft_xdp_wire(struct xdp_md *ctx)
{
	struct suspect who = xdp_suspect(ctx, WEFT_HOOK_XDP_WIRE);

	return finish_xdp(ctx, &who, xdp_wire(ctx, &who));
}

char LICENSE[] SEC("license") = "GPL";
