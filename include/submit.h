/* SPDX-License-Identifier: ISC */
/*
 * Arguments and a message on a descriptor become a committed spool entry: recipients parsed,
 * aliases expanded, sender and header rewritten, text normalised, one write pass, two fsyncs. Streams:
 * memory is bounded by the header.
 */
#ifndef SUBMIT_H
#define SUBMIT_H

#include "spool.h"
#include "alias.h"
#include "rewrite.h"
#include "user.h"

struct submission {
	const struct conf *conf;
	const struct alias_file *aliases;
	struct user_file *passwd;
	const struct rewrite_users *users;
	struct str sender;          /* canonical, not yet rewritten; "" is null */
	struct str name;            /* -F, or "" */
	uint32_t uid;
	bool take_recipients;       /* -t */
	bool dots;                  /* without -i */
	bool mail_errors;           /* who does not exist is told of in a bounce, not here */
	bool final;                 /* for a delivery agent: rcpts are users of this device as
				       they stand, and no address is rewritten */
	struct addr_set rcpts;      /* from argv, not yet expanded; submit adds to it and frees it */
	struct notify notify;       /* of the message */
	struct notify all;          /* of each recipient, but for those with a line in */
	struct buf lines;           /* for each of rcpts, in their order, as notify_print has it;
				       may end early. The caller's to free */
};

/* False: the address is of this device, and there is neither an alias nor a user for it. */
bool submit_is_known(const struct submission *sub, struct str address);

/* The whole message from fd. 0: committed, *id is its id: safe. Otherwise a sysexits status
 * with the reason in *why: nothing is in the queue. */
int submit(struct submission *sub, int fd, struct spool *spool, char id[SPOOL_ID + 1],
	   struct buf *why);

/* The same for a message that comes in pieces. All arguments must live until the end. */
struct intake *submit_open(struct submission *sub, struct spool *spool, struct buf *why);
/* False: no more bytes are wanted; submit_commit says why. */
bool submit_feed(struct intake *i, struct str bytes);
/* Either of these ends it. */
int submit_commit(struct intake *i, char id[SPOOL_ID + 1]);
void submit_abort(struct intake *i);

#endif
