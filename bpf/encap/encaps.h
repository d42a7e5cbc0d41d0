/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_ENCAP_ENCAPS_H
#define WEFT_ENCAP_ENCAPS_H

/* Every encapsulation of maps/weft_encaps.h. */
#include "encap/direct.h"
#include "encap/ipip.h"
#include "encap/udp.h"
#include "encap/vxlan.h"
#include "encap/vxlan6.h"

#endif
