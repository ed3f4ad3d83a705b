/* SPDX-License-Identifier: ISC */
/*
 * One claimed message while its recipients are being delivered: what is sent to each, which
 * verdicts have come in, when they reach the journal. Verdicts are recorded in memory first:
 * what has happened has happened, also where the disk does not take it; then they are written
 * again and again while the claim is kept, so that nobody gets a second copy.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include "encode.h"
#include "local.h"
#include "spool.h"

/* Of each recipient in a pass; larger values are the queue's own: in whose hands it is. */
enum { ATTEMPT_IDLE, ATTEMPT_WAITING, ATTEMPT_TAKEN };

struct attempt {
	struct attempt *next;        /* the queue's list */
	struct spool *spool;
	const struct conf *conf;
	char id[SPOOL_ID + 1];
	uint32_t number;             /* the queue's */
	bool urgent;                 /* the queue's: an operator asked for it */
	unsigned returned;           /* the queue's: times it came back untried */
	bool alone;                  /* the queue's: a session ended on it, or a worker, or may have:
					whoever takes it to a server takes nothing else */
	struct spool_claim claim;
	struct buf text, log;        /* as they were read: never moved again */
	struct envelope envelope;
	struct journal journal;      /* as of the last fold */
	struct stamp before;         /* of its newest line when this pass began */
	unsigned char *mark;         /* one for each recipient of journal */
	size_t waiting, taken;       /* how many marks say so */
	int64_t write_again;         /* clock_ms; not 0: something could not be written */
	bool stalled;                /* and that was no lack of room */
	bool retried;                /* there was an attempt before this claim */
	bool gone;                   /* the file has been removed by somebody else */
	/* attempt.c's own: */
	struct attempt_lines *lines, *newest; /* of the journal, added since */
	struct attempt_lines *unwritten; /* from here on the disk did not take them; */
	bool must_write;             /* a final verdict or what follows from one is among them */
	int64_t remove_again;        /* clock_ms; not 0: it could not be removed */
	size_t journal_bytes;
	size_t marks;
	struct buf fields;           /* render_fields */
	struct outcome verdict;      /* of verdict_set, not in the journal yet */
	unsigned char *verdict_set;
	size_t verdicts;
};

/* Claims and reads Q<id>. SPOOL_OK: *a is open. SPOOL_BUSY: not now. SPOOL_GONE: there is no
 * such message, or it cannot be read and was set aside as C<id>. SPOOL_ERROR: nothing that
 * can be delivered, and it stays where it is. Said in the log. */
enum spool_result attempt_open(struct attempt *a, struct spool *spool, const struct conf *conf,
			       struct str id);

/* Lets go: the message stays as it is on disk. */
void attempt_close(struct attempt *a);

/* Puts recipient n, idle and pending, among those that wait. */
void attempt_want(struct attempt *a, size_t n);
void attempt_take(struct attempt *a, size_t n, unsigned char mark); /* waiting -> mark */
void attempt_untake(struct attempt *a, size_t n);                   /* mark -> waiting */

/* To be asked before anybody is sent anything. False: the disk takes no line, though it has room: what
 * comes of it could not be written down, and the message waits in our hands until that is over. */
bool attempt_begin(struct attempt *a);

/* A recipient's verdict: logged, and kept for the journal. relay: who said so, or empty. */
void attempt_record(struct attempt *a, size_t n, const struct outcome *o, struct str relay);
bool attempt_has_verdict(const struct attempt *a, size_t n); /* kept, not yet folded */

/* Writes the verdicts kept, and what could not be written before when that is due or at_once
 * is asked for. True: all that has happened is on disk. */
bool attempt_write(struct attempt *a, bool at_once);

/* Where a mailbox is about to be written to, on disk when it returns: 0, or -1 with errno. */
int attempt_write_mailbox(struct attempt *a, size_t n, const uint64_t place[3]);

/* Recipient n, pending, stands for these, at least one: they join the message as recipients
 * that wait, unless they are in it already, and n is done; where the disk refused to know of
 * it, they are pending only. One that would lead to itself is that user's mailbox. Where the
 * message would have too many recipients, n is deferred. */
void attempt_expand(struct attempt *a, size_t n, const struct local_target *targets,
		    size_t count);

/* The end of a pass: no recipient waits or is taken. */
enum attempt_next {
	ATTEMPT_REMOVED, /* everybody has a final verdict, nobody needs to hear of one: the file
			    is gone (spool_sync is the caller's) */
	ATTEMPT_LATER,   /* recipients are pending; what happened is on disk */
	ATTEMPT_BOUNCE,  /* somebody is to be told of it; what happened is on disk */
	ATTEMPT_STUCK,   /* the disk does not take it: once more at write_again */
};
enum attempt_next attempt_conclude(struct attempt *a);

/* Adds a recipient for failures that nobody knows of, and for success where that was asked
 * for: the sender; for bounces that failed, and where there is no sender or none who can be
 * reached, bounce_to or postmaster. Where the disk refused the line, write_again says so, and the
 * recipient must wait for it. False: there is nobody to tell. */
bool attempt_add_bounce(struct attempt *a);

/* Adds the sender as a recipient of a warning, which says that what waits now will be tried
 * until give_up (by the wall clock; 0: not known). Nothing else may wait to be written. False:
 * it is not known to be on disk, and *a is to be let go of. */
bool attempt_add_warning(struct attempt *a, int64_t give_up);

/* Nobody to tell: to H<id>, for an operator. The claim is gone. SPOOL_GONE, or SPOOL_ERROR:
 * it could not be renamed. */
enum spool_result attempt_hold(struct attempt *a);

/* What one recipient is sent. */
struct attempt_content {
	struct str sender;
	struct buf head, tail;
	size_t ancestors;        /* of head: for whom it was before, while in this queue */
	uint64_t offset, length; /* of the file, between them */
	unsigned facts;          /* encode.h's */
};
void attempt_content(struct attempt *a, size_t n, struct attempt_content *c);
void attempt_free_content(struct attempt_content *c);
/* Who that is from: content's sender, without making the rest. */
struct str attempt_sender(const struct attempt *a, size_t n);
/* Whether two recipients are sent the same bytes from the same sender. */
bool attempt_same_content(const struct attempt *a, size_t n, size_t m);

/* A number that stays with the message: retry.h's salt. */
uint32_t attempt_salt(struct str id);

#endif
