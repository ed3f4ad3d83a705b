/* SPDX-License-Identifier: ISC */
/*
 * `sendmail -bs`: one client's SMTP session on two descriptors, from smtpd's words to
 * committed spool entries.
 */
#ifndef SESSION_H
#define SESSION_H

#include "site.h"

struct session {
	struct site *site;
	struct spool *spool;
	/* A message has been queued: whoever delivers may begin. */
	void (*queued)(void *ctx);
	void *ctx;
};

/* Until QUIT or the end of input. Where in is a socket only CRLF ends a line. EX_OK, or
 * EX_IOERR: the client could not be read from or written to; what was answered with 250 is
 * safe in any case. */
int session_run(const struct session *s, int in, int out);

#endif
