/* SPDX-License-Identifier: ISC */
/*
 * The queue runner: one process for the whole spool. Watches the directory, claims what is
 * due, hands it to workers by destination, records each verdict before it counts, retries,
 * bounces, removes. Only it opens spool files for delivery and writes journals.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "spool.h"

struct queue_options {
	const struct conf *conf;
	bool stay;            /* do not exit when the queue is empty (-q15m) */
	bool once;            /* one pass over what is due, then exit (-q in the foreground) */
	bool now;             /* everything counts as due in the first pass */
};

/* Runs until the queue is empty (or as the options say). runner: the lock's descriptor. */
void queue_run(struct spool *s, int runner, const struct queue_options *o);

/* Makes sure that a runner lives: starts one in the background if none does. 0, or -1 with
 * errno: the mail is safe, but nobody delivers it now. */
int queue_start(struct spool *s, const struct queue_options *o);

#endif
