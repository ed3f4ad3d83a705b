/* SPDX-License-Identifier: ISC */
/*
 * Who delivers: hands the waiting recipients of claimed messages to worker processes, one for
 * each destination or mailbox, and records what they answer. When a message is due, and what
 * follows from its verdicts, is for others to know.
 */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "attempt.h"
#include "crew.h"
#include "outage.h"
#include "site.h"

#include <poll.h>

struct dispatch {
	const struct site *site;
	struct crew crew;
	struct outage_list outages, hosts;
	struct attempt *attempts; /* first come, first served */
	size_t attempt_count;
	uint32_t attempts_made;
	bool only_once;           /* no attempt will follow: by what every server knows */
};

/* Messages that can be under way at the same time. */
size_t dispatch_capacity(const struct dispatch *d);

void dispatch_init(struct dispatch *d, const struct site *site);
/* Ends all workers; no message may be under way that somebody still counts on. */
void dispatch_free(struct dispatch *d);
/* Ends all workers, and is ready for others by the configuration as it is now. */
void dispatch_renew(struct dispatch *d);

/* Whatever was out of order may work. */
void dispatch_forgive(struct dispatch *d);

/* Takes an open attempt over, behind all others. */
void dispatch_add(struct dispatch *d, struct attempt *a);
/* Closes and frees it. */
void dispatch_drop(struct dispatch *d, struct attempt *a);

/* Whether the last process that had a before this claim died of it, or nobody lived to say what
 * became of that. */
bool dispatch_is_suspect(const struct attempt *a);

/* Where recipient n goes. */
struct route dispatch_route(const struct dispatch *d, const struct attempt *a, size_t n);

/* Gives as much of a as there are workers for; the rest goes on waiting. */
void dispatch_assign(struct dispatch *d, struct attempt *a);

/* Whether mail of that key (route.h) is likely to get somewhere now: to a worker, or at once
 * to the verdict that its destination is out of order. alone: an attempt's. */
bool dispatch_has_room(const struct dispatch *d, uint32_t key, bool alone);

/* A worker keeps a mailbox locked until a's verdict is on disk; release when it is. */
bool dispatch_keeps_lock(const struct dispatch *d, const struct attempt *a);
void dispatch_release(struct dispatch *d, const struct attempt *a);

/* Tells workers that nothing more will come. */
void dispatch_finish(struct dispatch *d);

bool dispatch_is_idle(const struct dispatch *d); /* no message, and no worker but lost ones */

/* Fills fds, which has room for 2 * LIMIT_WORKERS, for poll; returns how many to show it. */
nfds_t dispatch_poll(const struct dispatch *d, struct pollfd *fds);
/* After poll: takes what workers say, and ends those that are long overdue. */
void dispatch_hear(struct dispatch *d, const struct pollfd *fds);
/* When the next of them is overdue, or a journal is to be written again, in clock_ms() terms;
 * INT64_MAX: never. */
int64_t dispatch_deadline(const struct dispatch *d);

#endif
