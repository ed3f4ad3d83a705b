/* SPDX-License-Identifier: ISC */
#include "retry.h"

enum {
	DELAY_MAX = 1 << 30,  /* seconds: sums below stay far from any overflow */
	SETTLING = 3600,      /* seconds a boot has to set its clock and find the network */
};

/* The delay after so many deferrals: min, growing by half each time up to max. */
static int64_t
delay_after(const struct retry_policy *p, uint32_t attempts)
{
	int64_t max = p->retry_max < DELAY_MAX ? (int64_t)p->retry_max : DELAY_MAX;
	int64_t delay = p->retry_min < DELAY_MAX ? (int64_t)p->retry_min : DELAY_MAX;

	if (delay == 0)
		delay = 1;
	for (; attempts > 1 && delay < max; attempts--)
		delay += (delay + 1) / 2;
	return delay < max || max == 0 ? delay : max;
}

/* From -12 to +12 % of delay, the same for the same salt and attempts. */
static int64_t
jitter(int64_t delay, uint32_t salt, uint32_t attempts)
{
	int64_t span = delay * 12 / 100;
	uint32_t mixed = (salt ^ attempts * 0x9e3779b9u) * 0x85ebca6bu;

	mixed ^= mixed >> 15;
	return mixed % (2 * span + 1) - span;
}

/* Seconds since the last attempt, at least. Where the clocks do not tell, a boot's own time
 * does: the attempt was before this boot, or by the same boot clock. Counting it as nothing
 * would begin the full delay anew at each look. */
static int64_t
elapsed_since(const struct stamp *last, const struct stamp *now)
{
	int64_t known = stamp_between(last, now), boot = now->boot;

	/* A virtual machine that was set back remembers what has not been yet. */
	if (last->boot_id && last->boot_id == now->boot_id && last->boot <= now->boot)
		return known;
	/* An unknown boot may be this one. */
	if ((!last->boot_id || !now->boot_id) && last->boot <= now->boot)
		boot -= last->boot;
	return known > boot / 1000 ? known : boot / 1000;
}

int64_t
retry_wait(const struct retry_policy *p, const struct journal_rcpt *r, uint32_t salt,
	   const struct stamp *now)
{
	if (r->attempts == 0)
		return 0;
	int64_t delay = delay_after(p, r->attempts);
	int64_t wait = delay + jitter(delay, salt, r->attempts);
	wait -= elapsed_since(&r->last_at, now);
	return wait > 0 ? wait : 0;
}

bool
retry_outlived(uint64_t seconds, const struct journal *j, const struct journal_rcpt *r,
	       const struct stamp *now)
{
	return r->fate == JOURNAL_PENDING && r->attempts > 0 &&
	       now->boot / 1000 >= SETTLING && (uint64_t)journal_rcpt_age(j, r, now) > seconds;
}
