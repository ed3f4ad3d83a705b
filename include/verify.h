/* SPDX-License-Identifier: ISC */
/*
 * Who gets mail for an address, and how, as far as that can be said without sending any:
 * sendmail -bv.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include "probe.h"
#include "site.h"

/* Appends a line for each recipient that a canonical address stands for; sender is one as
 * rewrite_sender makes it. EX_OK; EX_NOUSER where one of them does not exist on this device;
 * EX_TEMPFAIL where one's mail would wait in the queue until something is put right. Where
 * their mail leaves this device is added to *where. */
int verify_address(struct site *site, struct str sender, struct str address,
		   struct buf *out, struct probe *where);

#endif
