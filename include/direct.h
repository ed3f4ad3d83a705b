/* SPDX-License-Identifier: ISC */
/*
 * Delivery while the caller waits, without a queue: one attempt for each recipient, and the
 * exit status says what came of it. For `sendmail -odd` on a device with nowhere to write, and
 * for `deliver` as another mail system's delivery agent: until it ends with 0 the mail is the
 * caller's.
 */
#ifndef DIRECT_H
#define DIRECT_H

#include "site.h"

/* Delivers the message that submit put into spool (spool_open_memory) as id. EX_OK: all
 * recipients have it. Else the status that outcome_sysexit gives for one of those who do not: a
 * temporary failure only where none is permanent. Each of them is named at LOG_ERROR. */
int direct_run(const struct site *site, struct spool *spool, const char *id);

#endif
