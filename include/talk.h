/* SPDX-License-Identifier: ISC */
/*
 * One session with one server, from its greeting to QUIT: the pump between the engine (smtp),
 * the server (channel) and whoever has messages to send. It listens while it sends. Its time
 * limits are here.
 */
#ifndef TALK_H
#define TALK_H

#include "channel.h"
#include "smtp.h"

struct talk {
	/* Of the session, before talk_run. */
	struct smtp_config config;
	const struct trust_config *trust;
	struct identity *identity;
	uint64_t connect_timeout, command_timeout; /* seconds */

	/* Who has messages; these may be set once for all sessions. config's callbacks too have
	 * this ctx. */
	void *ctx;
	int more;              /* readable where next may have something; -1: it need not wait */
	/* The engine can take a message: smtp_send, if there is one. False: there will be no
	 * more. */
	bool (*next)(void *ctx, struct smtp *s);
	/* Whether next has one now, or will in a moment: waits for that. */
	bool (*expects)(void *ctx);
	/* The next bytes of m's body, as wire.h makes them; cap is TALK_PIECE. 0: the end; -1 with
	 * *why: it cannot be read. from_start: of the body. eightbit: as encode_init's. */
	ptrdiff_t (*body)(void *ctx, const struct smtp_message *m, bool from_start, bool eightbit,
			  char *dst, size_t cap, struct outcome *why);

	/* The session's own. */
	struct channel channel;
	struct smtp smtp;
	bool tls_failed;       /* the handshake */
	bool body_begun;
	char piece[8 << 10];   /* made for the wire, not yet sent */
	size_t piece_start, piece_end;
	bool finishing;        /* nothing more will come */
};

enum { TALK_PIECE = sizeof ((struct talk *)0)->piece };

/* The whole session over fd, which it closes. peer: as channel.h's. Why it ended: as
 * smtp_session's. */
struct outcome talk_run(struct talk *t, int fd, struct str peer);

#endif
