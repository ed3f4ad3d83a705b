/* SPDX-License-Identifier: ISC */
/*
 * A moment as two clocks saw it: the wall clock, which may be wrong or jump, and the boot
 * clock, which is right but starts anew at each boot. Owns the one rule by which an interval
 * between two moments is known (DESIGN 3, Time). Pure: clock.h takes the readings.
 */
#ifndef STAMP_H
#define STAMP_H

#include "buf.h"

struct stamp {
	int64_t wall;     /* seconds since 1970, as the wall clock said */
	int64_t boot;     /* milliseconds since boot, time asleep included */
	uint64_t boot_id; /* of this boot; 0 is unknown and equals no other */
	bool believable;  /* the wall clock was set: not before this program was built */
};

/* Seconds from a to b, never negative: by the boot clock within one boot, else by the wall
 * clock where both ends are believable, else unknown and therefore 0. */
int64_t stamp_between(const struct stamp *a, const struct stamp *b);

/* Whether one clock has shown both: in one boot, as far as is known, and the wall clock was not
 * set in between. */
bool stamp_is_steady(const struct stamp *a, const struct stamp *b);

/* Text form, four words: "<wall> <boot> <boot_id in 16 hex digits> <0|1>". */
void stamp_print(const struct stamp *s, struct buf *out);
/* Takes the text form off *in, with one space behind it if there is one. 0, or -1. */
int stamp_parse(struct str *in, struct stamp *s);

#endif
