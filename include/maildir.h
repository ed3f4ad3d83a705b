/* SPDX-License-Identifier: ISC */
/*
 * Puts a message into a Maildir as the recipient's own process, exactly once: under a name
 * that is the same at every attempt, so that a later one finds what an earlier one finished,
 * and replaces what it left half-way. Written and synced in tmp, then renamed into new, and
 * new synced, before the verdict: a crash leaves a whole file in new, or none.
 */
#ifndef MAILDIR_H
#define MAILDIR_H

#include "io.h"
#include "outcome.h"

struct maildir_job {
	const char *path;            /* of the Maildir; '/' at its end or not */
	struct str id;               /* the message's, as in the spool's names */
	uint32_t rcpt_number;        /* which of its recipients */
	struct str host;             /* ours */
	int64_t date;                /* of the message: like host the same at every attempt */
	struct str sender, rcpt;     /* canonical, as in mbox_job */
	struct source content;       /* the message as rendered */
	bool retried;                /* an earlier attempt may have got as far: a reader may
	                                have moved its file into cur since */
};

/* Delivers. The Maildir and its tmp, new and cur are made (0700) where they are missing; what
 * the Maildir is in must exist. All four must be ours. tmp, new and cur may not be symbolic
 * links, nor the Maildir where we are root: whoever can write to the directory around it
 * could have root write anywhere. */
struct outcome maildir_deliver(const struct maildir_job *job);

#endif
