/* SPDX-License-Identifier: ISC */
/*
 * Who gets mail for an address, and how, as far as that can be said without sending any:
 * sendmail -bv.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include "site.h"

/* Appends a line for each recipient that a canonical address stands for. EX_OK, or EX_NOUSER
 * where one of them does not exist on this device. */
int verify_address(const struct site *site, struct str sender, struct str address,
		   struct buf *out);

#endif
