/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_SUSPECT_H
#define WEFT_LIB_SUSPECT_H

/* What a check that refuses a packet does: by its mode the packet is dropped, or tolerated and counted, or nothing. And for
 * whom either is counted. Off the path of packets that pass. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "lib/config.h"

/* Who sent a packet, as far as that is known before anything is believed. */
struct suspect {
	struct weft_refused_key key; /* reason and tolerated are for note() to fill in */
	struct weft_mac mac;
	__u32 packets;
	__u32 bytes;
};

/* New senders come at the price of a map update, and they take the place of old ones: a flood of invented senders may have so
 * many a CPU and window, the rest of it is summed up. A window is a second, near enough. */
enum {
	NEWCOMERS = 64,
	NEWCOMERS_WINDOW_BITS = 30,
};

static __always_inline bool may_come(__u64 now)
{
	__u32 zero = 0;
	struct weft_newcomers *newcomers = bpf_map_lookup_elem(&weft_newcomers, &zero);

	/* unreached: an array has all of its elements */
	if (!newcomers)
		return false;
	if (newcomers->window != now >> NEWCOMERS_WINDOW_BITS) {
		newcomers->window = now >> NEWCOMERS_WINDOW_BITS;
		newcomers->count = 0;
	}
	return newcomers->count++ < NEWCOMERS;
}

static __always_inline struct weft_refused *refused_of(struct weft_refused_key *key, __u64 now)
{
	struct weft_refused *refused = bpf_map_lookup_elem(&weft_refused, key);
	const struct weft_refused none = {};

	if (refused)
		return refused;
	if (!may_come(now)) {
		__builtin_memset(&key->sender, 0, sizeof(key->sender));
		key->ifindex = 0;
		refused = bpf_map_lookup_elem(&weft_refused, key);
		if (refused)
			return refused;
	}
	bpf_map_update_elem(&weft_refused, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&weft_refused, key);
}

/* Not inlined: there are many places where a packet can be refused, and it happens to few. */
static __noinline void note(const struct suspect *who, enum weft_reason reason, bool tolerated)
{
	struct weft_refused_key key = who->key;
	const __u64 now = bpf_ktime_get_ns();
	struct weft_refused *refused;

	if (key.hook == WEFT_HOOK_FROM_HOST) /* nobody but this node */
		return;
	key.reason = reason;
	key.tolerated = tolerated;
	refused = refused_of(&key, now);
	/* unreached: a hash that forgets its oldest takes what is new */
	if (!refused)
		return;
	refused->packets += who->packets;
	refused->bytes += who->bytes;
	refused->last_ns = now;
	refused->mac = who->mac;
}

static __noinline void tolerate(const struct suspect *who, enum weft_reason reason)
{
	__u32 index = who->key.hook * WEFT_R_COUNT + reason;
	struct weft_counter *counter = bpf_map_lookup_elem(&weft_tolerated, &index);

	/* unreached: an array has all of its elements */
	if (!counter)
		return;
	counter->packets += who->packets;
	counter->bytes += who->bytes;
	note(who, reason, true);
}

static __always_inline enum weft_check_mode mode_of(enum weft_reason check)
{
	return cfg.checks[check - WEFT_R_FIRST_DROP];
}

/* Whether a check is worth making. */
static __always_inline bool checks(enum weft_reason check)
{
	return mode_of(check) != WEFT_CHECK_OFF;
}

static __always_inline enum weft_reason refuse_by(const struct suspect *who, enum weft_reason check,
						  enum weft_check_mode mode)
{
	if (mode == WEFT_CHECK_ENFORCE)
		return check;
	if (mode == WEFT_CHECK_COUNT)
		tolerate(who, check);
	return WEFT_R_NONE;
}

/* What becomes of a packet that does not pass a check: none where it goes on all the same. */
static __always_inline enum weft_reason refuse(const struct suspect *who, enum weft_reason check)
{
	return refuse_by(who, check, mode_of(check));
}

/* The same where the check is not a constant, or none failed. */
static __always_inline enum weft_reason refuse_any(const struct suspect *who, enum weft_reason check)
{
	__u64 index = (__u32)check - WEFT_R_FIRST_DROP;

	asm volatile("" : "+r"(index)); /* the register that is compared is the one that is used */
	return index < WEFT_R_DROPS ? refuse_by(who, check, cfg.checks[index]) : check;
}

#endif
