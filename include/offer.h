/* SPDX-License-Identifier: ISC */
/*
 * What a server offers in its reply to EHLO (RFC 5321 4.1.1.1). A keyword that is not known
 * here, or is no keyword, is not there.
 */
#ifndef OFFER_H
#define OFFER_H

#include "str.h"

enum {
	OFFER_PIPELINING = 1,
	OFFER_SIZE = 2,
	OFFER_8BITMIME = 4,
	OFFER_STARTTLS = 8,
	OFFER_DSN = 16,
	OFFER_SMTPUTF8 = 32,
	OFFER_BURL = 64,
	OFFER_CHUNKING = 128,
};

/* {0}: nothing. */
struct offer {
	unsigned flags;
	uint64_t size_limit;   /* SIZE's, 0: none that we could know */
	char mechanisms[256];  /* AUTH's, "PLAIN LOGIN" */
};

/* Adds what one line of the reply offers; without its code. */
void offer_add(struct offer *o, struct str words);

#endif
