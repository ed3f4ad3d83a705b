/* SPDX-License-Identifier: ISC */
/*
 * When a recipient is tried again and when the queue gives up: policy over the journal, with
 * the clock rules of DESIGN 3 (Time). Delays grow by half from retry_min to retry_max, with a
 * jitter that follows from the message's id, so that nothing needs to be written for it.
 */
#ifndef RETRY_H
#define RETRY_H

#include "journal.h"

struct retry_policy {
	uint64_t retry_min, retry_max, lifetime; /* seconds */
};

/* Seconds from now until r is due; 0: due. salt: any number that stays with the message. */
int64_t retry_wait(const struct retry_policy *p, const struct journal_rcpt *r, uint32_t salt,
		   const struct stamp *now);

/* True where r, pending, has been tried at least once, the message's age (now included) is
 * over the lifetime, and this boot is at least an hour old. */
bool retry_expired(const struct retry_policy *p, const struct journal *j,
		   const struct journal_rcpt *r, const struct stamp *now);

#endif
