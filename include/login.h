/* SPDX-License-Identifier: ISC */
/*
 * A login at a mail server by AUTH (RFC 4954): its replies in, our lines out. Picks the
 * mechanism and takes the next best where the server binds in another way than we do. Whether
 * a password may go out on this connection is not decided here. No allocation; secrets are
 * held by reference.
 */
#ifndef LOGIN_H
#define LOGIN_H

#include "outcome.h"
#include "reply.h"
#include "sasl.h"

struct login {
	struct str user, password, host; /* host: for words */
	struct str nonce;        /* sasl.h's */
	struct str offered;      /* by the server, and */
	struct str allowed;      /* by us: as sasl_pick's */
	struct str binding;      /* as sasl_pick's; forgotten once it was refused */
	char *line;              /* the caller's, LOGIN_LINE bytes */
	/* What a call leaves behind. */
	size_t len;              /* of line, which is to be sent with CRLF */
	char shown[48];          /* what a trace may see of it; "": there is none */
	struct outcome why;      /* of LOGIN_FAILED */
	struct sasl sasl;
};

enum { LOGIN_LINE = 40 + (LIMIT_SASL + 2) / 3 * 4 };

/* FAILED: a line, if there is one, goes out all the same. */
enum login_result { LOGIN_GOES_ON, LOGIN_DONE, LOGIN_FAILED };

/* The AUTH command; l has all down to line. Fails where no mechanism is in common. */
enum login_result login_start(struct login *l);

/* A whole reply to the last line. */
enum login_result login_reply(struct login *l, const struct reply *r);

void login_wipe(struct login *l);

#endif
