/* SPDX-License-Identifier: ISC */
/*
 * Appends a message to an mbox file as the recipient's own process, so that a crash leaves no
 * half message and no second copy (DESIGN 5): locked (flock, fcntl, dotlock where the
 * directory allows it), opened without following links, looked at again after locking; mboxrd
 * quoting; Return-Path and Delivered-To; fsync before the verdict; truncated to what it was
 * on any error.
 */
#ifndef MBOX_H
#define MBOX_H

#include "io.h"
#include "outcome.h"

struct mbox_place {
	uint64_t device, inode, start; /* the mailbox, and its size before the first byte; the
					  device only tells a person where that was */
};

struct mbox_job {
	const char *path;
	struct str sender;           /* canonical; "" is written <> and MAILER-DAEMON in From_ */
	struct str rcpt;             /* canonical, for Delivered-To */
	int64_t date;                /* of the From_ line */
	struct source content;       /* the message as rendered */
	bool has_previous;           /* an earlier attempt got as far as: */
	struct mbox_place previous;
	unsigned lock_seconds;       /* how long to wait for other programs' locks */
	/* Makes place durable before the first byte goes in: 0, or -1: do not write. */
	int (*intend)(void *ctx, const struct mbox_place *place);
	void *ctx;
};

struct mbox {
	int fd;                      /* locked, or -1 */
	char *dotlock;               /* its path, or NULL */
	bool appended;               /* by this delivery, from start on */
	off_t start;
};

/* Creates a missing mailbox (0600; as root O_EXCL and fchown to uid and gid): called before
 * rights are given up. 0 or -1 with errno; an existing one is fine, and an empty one of
 * root's is taken for half made and completed. Root does nothing where anything on the way
 * there is not root's own: mbox_deliver then creates it with the recipient's rights. */
int mbox_create(const char *path, uid_t uid, gid_t gid);

/* Delivers. The mailbox stays locked until mbox_release, which the caller calls when the
 * verdict is durable. After a crash (has_previous): the tail from start on is compared with
 * what would be written: whole, it counts as delivered and nothing is written; a fragment
 * that reaches the end is cut off; one that other mail follows is blanked (its bytes become
 * line feeds); anything else is not ours and stays. */
struct outcome mbox_deliver(struct mbox *m, const struct mbox_job *job);
/* Before mbox_release, where nobody took the verdict: the mailbox is what it was. */
void mbox_take_back(struct mbox *m);
void mbox_release(struct mbox *m);

#endif
