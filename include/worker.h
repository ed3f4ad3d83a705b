/* SPDX-License-Identifier: ISC */
/*
 * The runner's children: a process at the other end of a socketpair, and the messages between
 * them. The runner never blocks on a worker: what does not fit into the socket waits in a
 * buffer of its own. A worker blocks on the runner and dies with it. A message that is cut
 * short or malformed ends the connection: the runner then knows what a crash leaves.
 */
#ifndef WORKER_H
#define WORKER_H

#include "buf.h"
#include "outcome.h"

#include <sys/types.h>

enum worker_kind {
	WORKER_JOB,     /* to a relay worker, with a descriptor: one message to deliver */
	WORKER_OUTCOME, /* from a worker: number says which recipient */
	WORKER_DONE,    /* from a worker: it has let go of the job */
	WORKER_EXPAND,  /* from a local worker: others take the recipient's place */
	WORKER_SESSION, /* from a relay worker: this destination, before any message */
	WORKER_HOST,    /* from a relay worker: relay, "[192.0.2.1]:25", cannot be used */
	WORKER_MAILBOX, /* from a local worker: where it will write; waits for WORKER_GO */
	WORKER_GO,      /* to a local worker: what it waits for is on disk */
	WORKER_FINISH,  /* to a relay worker: no further job; to a local one: do not write */
};

struct worker_frame {
	enum worker_kind kind;
	uint32_t job;            /* the runner's number for the message */
	uint32_t number;         /* recipient, index in the journal */
	uint64_t place[3];       /* MAILBOX: device, inode, start; OUTCOME: place[0] is
	                            outcome.passed; DONE: place[0] is 1 where a session ended on it,
	                            and outcome is for the recipients that had none */
	struct outcome outcome;
	struct str relay;        /* OUTCOME: who took or refused it, "mail.example[192.0.2.1]:25" */
	struct str payload;      /* JOB: see parcel.h; EXPAND: see local.h */
	int fd;                  /* JOB: received; the receiver's to close. Else -1 */
};

/* One end. */
struct worker_link {
	int fd;
	bool worker;             /* the child's end: hears what a worker is told */
	struct buf in, out;
	size_t in_used;          /* bytes of in that the last frame took, or 0 */
	int in_fd;               /* a descriptor that came with a frame not yet whole, or -1 */
	struct { int fd; size_t at; } send_fd[2]; /* descriptors to send with out's byte at */
	unsigned send_fds;
};

/* A pair of ends, close-on-exec. 0, or -1 with errno. */
int worker_pair(struct worker_link *parent, struct worker_link *child);
void worker_close(struct worker_link *l);

/* Puts a frame (and a copy of frame->fd, if >= 0) into the out buffer and sends what goes
 * without waiting. 0, or -1 with errno: nothing was put, for the payload is over
 * LIMIT_ENVELOPE, two descriptors wait already, or there is none for the copy. */
int worker_send(struct worker_link *l, const struct worker_frame *frame);
/* 0, or -1 with errno: the other end is gone, as worker_receive finds, too. */
int worker_flush(struct worker_link *l);
bool worker_wants_write(const struct worker_link *l);

/* The next whole frame, without waiting: 1 (its ranges valid until the next call); else *frame
 * stays as it is, 0: none yet, -1: the other end is gone or talks nonsense. */
int worker_receive(struct worker_link *l, struct worker_frame *frame);

/* The same, waiting: what a worker does. */
int worker_send_wait(struct worker_link *l, const struct worker_frame *frame);
int worker_receive_wait(struct worker_link *l, struct worker_frame *frame);

#endif
