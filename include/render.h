/* SPDX-License-Identifier: ISC */
/*
 * The message as it is delivered: fields that mtabox adds, made from the envelope and the
 * facts that the first attempt put in the journal, then the stored message. The same input
 * gives the same bytes at every attempt.
 */
#ifndef RENDER_H
#define RENDER_H

#include "journal.h"

/* The id, as in the spool's names, of a message (bounce: 0) or of one of its bounces. */
void render_id(struct str id, uint32_t bounce, struct buf *out);

/* Received (RFC 5321 4.4: "by host (mtabox) id ID; date": neither user nor caller's host). */
void render_received(struct str host, struct str id, uint32_t bounce, int64_t date,
		     struct buf *out);

/* Of a message: Received, then Date, Message-ID and From where the message has none, and the
 * empty line that a message with no header needs. LF line ends. j->has_facts must be true. */
void render_fields(const struct envelope *e, const struct journal *j, struct str id,
		   struct buf *out);

/* The address with "@host" where it has no domain; the null sender is MAILER-DAEMON@host. */
void render_address(struct str address, struct str host, struct buf *out);

/* A new Message-ID without <>: 64 bits of random in it. */
void render_message_id(struct str id, uint64_t random, struct str host, struct buf *out);

#endif
