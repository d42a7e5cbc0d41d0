/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_ENCAP_DIRECT_H
#define WEFT_ENCAP_DIRECT_H

/* host-gw, and DirectRouting in vxlan: the packet itself, to the node's MAC. */
#include "lib/outer.h"

enum {
	DIRECT_PROTO = 0,
	DIRECT_ROOM = 0,
	DIRECT_INNER_L2 = 0,
};

static __always_inline void direct_write(void *at, const struct weft_lease *lease, const struct inner *inner)
{
	(void)at;
	(void)lease;
	(void)inner;
}

/* From a pod elsewhere to this node's subnet. What comes from outside the pod network is no overlay packet: it has been routed
 * here by somebody's own choice and is the stack's, as on any router. */
static __always_inline enum weft_reason direct_read(struct cursor *c, struct outer *o)
{
	if (!in_own_subnet(&o->daddr) || !in_pod_network(&o->saddr))
		return WEFT_R_NOT_OVERLAY;
	c->pos = o->header; /* the only header is the inner one */
	o->inner_ethertype = o->ethertype;
	return WEFT_R_NONE;
}

#endif
