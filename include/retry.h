/* SPDX-License-Identifier: ISC */
/*
 * When a recipient is tried again, when the sender is warned and when the queue gives up:
 * policy over the journal, with the clock rules of DESIGN 3 (Time). Delays grow by half from
 * retry_min to retry_max, with a jitter that follows from the message's id, so that nothing
 * needs to be written for it.
 */
#ifndef RETRY_H
#define RETRY_H

#include "journal.h"

struct retry_policy {
	uint64_t retry_min, retry_max; /* seconds */
};

/* Seconds from now until r is due; 0: due. salt: any number that stays with the message. */
int64_t retry_wait(const struct retry_policy *p, const struct journal_rcpt *r, uint32_t salt,
		   const struct stamp *now);

/* True where r, pending, has been tried at least once, the message's age (now included) is
 * over so many seconds, and this boot is at least an hour old: both for giving up and for a
 * warning, lest a clock that is still to be set says the wrong thing to anybody. */
bool retry_outlived(uint64_t seconds, const struct journal *j, const struct journal_rcpt *r,
		    const struct stamp *now);

#endif
