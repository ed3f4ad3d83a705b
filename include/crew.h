/* SPDX-License-Identifier: ISC */
/*
 * The runner's worker processes: a fixed table of slots, each a child at the other end of a
 * link. Knows how to start and end them and which jobs each has; what their answers mean is
 * queue's to know.
 */
#ifndef CREW_H
#define CREW_H

#include "local.h"
#include "relay.h"
#include "route.h"

enum { CREW_JOBS = 2 }; /* in one relay worker's hands: the current message and the next */

struct crew_worker {
	pid_t pid;               /* 0: the slot is free */
	unsigned char number;    /* of the slot */
	struct worker_link link;
	bool local, alias;       /* alias: it speaks for the aliases file */
	bool alone;              /* has one job and gets no other */
	uint32_t job[CREW_JOBS]; /* their numbers, oldest first */
	unsigned jobs;
	bool failed;             /* its destination cannot be used: it is on its way out */
	int64_t deadline;        /* clock_ms: dispatch's, for a word from it */
	bool keeps_lock;         /* local: waits for our word that its verdict is on disk */
	struct route route;      /* of its destination */
	char domain[256];        /* of that route */
};

struct crew {
	struct crew_worker *slot;
	size_t slots;
	size_t relays, locals;   /* at work, or lost */
	size_t limit;            /* of each kind */
};

void crew_init(struct crew *c, size_t limit);
void crew_free(struct crew *c); /* ends all that are still at work */
/* Ends them, and has that limit from now on; no larger one than before while some are lost. */
void crew_renew(struct crew *c, size_t limit);

/* The relay worker for this route that can take one more job: the one there is, or a new one;
 * alone: one for this job and no other, of which each route has one at a time. NULL: not now, or
 * with errno not 0 the system said no; EBUSY: lost ones are in the way. */
struct crew_worker *crew_relay(struct crew *c, const struct conf *conf, const struct route *r,
			       const struct outage_list *hosts, bool alone);

/* Whether there is likely to be room for mail of this key (route.h), or EBUSY at once: while one
 * is lost in a mailbox no other starts there, nor anywhere when all of a kind are lost. */
bool crew_has_room(const struct crew *c, uint32_t key, bool alone);

/* Starts a delivery to a mailbox: of one recipient one at a time, for all but one would wait for
 * its lock. NULL as above. */
struct crew_worker *crew_local(struct crew *c, const struct route *r,
			       const struct local_job *job);

bool crew_is_idle(const struct crew *c); /* nobody is at work */

bool crew_has_job(const struct crew_worker *w, uint32_t job);
/* The job is no longer w's. */
void crew_drop_job(struct crew_worker *w, uint32_t job);

/* Ends w and frees its slot. True: it had ended by itself and in order. Where it does not go within
 * a moment, in a file system that hangs perhaps, it is lost: it has no jobs any more, but keeps its
 * slot, with w->pid, until another crew_end finds it gone. */
bool crew_end(struct crew *c, struct crew_worker *w);

#endif
