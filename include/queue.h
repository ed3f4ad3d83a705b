/* SPDX-License-Identifier: ISC */
/*
 * The queue runner: one process for the whole spool. Watches the directory, claims what is
 * due, hands it to workers by destination, records each verdict before it counts, retries,
 * bounces, removes. Only it opens spool files for delivery and writes journals.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "site.h"
#include "spool.h"

struct queue_options {
	struct site *site;    /* read again when its files have changed */
	bool stay;            /* do not exit when the queue is empty (-q15m) */
	bool hush;            /* let go of standard error after the first attempts */
	bool yields;          /* waits without the lock, which another runner may then take */
	bool now;             /* everything counts as due in the first pass */
	struct str first;     /* so do the messages of these ids, one behind the other */
};

/* Runs until the queue is empty, or for ever with stay, or (conf->defer) until each message
 * that was there had its attempt. runner: the lock's descriptor, closed at the end. 0; -1: the
 * directory could not be read, which was said, and neither stay nor hush is set. */
int queue_run(struct spool *s, int runner, const struct queue_options *o);

#endif
