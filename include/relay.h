/* SPDX-License-Identifier: ISC */
/*
 * The relay worker: one process, one destination, one connection. Takes jobs from the runner,
 * tries the destination's servers in order, pumps bytes between smtp, tls and the socket, and
 * answers with outcomes. It opens no spool file: descriptors come with the jobs. Before the
 * first network byte it has read all it needs and given up its rights.
 */
#ifndef RELAY_H
#define RELAY_H

#include "conf.h"
#include "encode.h"
#include "envelope.h"
#include "worker.h"

struct relay_destination {
	struct url server[LIMIT_SMARTHOSTS]; /* tried in order */
	size_t server_count;
	char domain[256];                    /* by its MX, if not "" */
};

/* A job's payload: what the worker must know of a message, its file aside. */
struct relay_job {
	struct str sender;
	struct notify notify;      /* of the message */
	uint64_t offset, length;   /* of the stored message in the descriptor's file */
	unsigned facts;            /* encode.h's */
	struct str head, tail;     /* around the stored message */
	size_t rcpt_count;
	/* for each: its number (see worker_frame), its address, what is asked of it */
	uint32_t *numbers;
	struct str *rcpts;
	struct notify *notifies;
};

void relay_print_job(const struct relay_job *job, struct buf *out);
/* Ranges of payload; the arrays allocated. 0, or -1: malformed. */
int relay_parse_job(struct str payload, struct relay_job *job);
void relay_free_job(struct relay_job *job);

/* The worker's whole life; does not return. */
_Noreturn void relay_run(const struct conf *c, const struct relay_destination *to,
			 struct worker_link *runner);

#endif
