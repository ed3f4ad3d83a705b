/* SPDX-License-Identifier: ISC */
/*
 * What a local delivery leaves in the message: Return-Path (RFC 5321 4.4) and Delivered-To,
 * and by that the knowledge that it has been here before. Every kind of local delivery puts
 * the same two lines first. A message that comes back goes out no more: it ends in a mailbox,
 * or where an alias has none, as a failure.
 */
#ifndef TRACE_H
#define TRACE_H

#include "io.h"
#include "outcome.h"

/* The two lines. sender: canonical, "" is written <>; rcpt: canonical. */
void trace_print(struct str sender, struct str rcpt, struct buf *out);

/* content from its start with the two lines before it. They are put into *space, which must
 * be empty, and outlive the result. */
struct source trace_add(const struct source *content, struct str sender, struct str rcpt,
			struct buf *space);

/* Does the content's header, from its position on, say that rcpt has had this message before?
 * Then *o is the verdict: permanent, 5.4.6. Before its position is what the queue says of
 * recipients that led to this one, which is no loop: the message has not been away. */
bool trace_is_loop(const struct source *content, struct str rcpt, struct outcome *o);

#endif
