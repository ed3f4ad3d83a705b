/* SPDX-License-Identifier: ISC */
/*
 * That somebody delivers: a queue runner in the background wherever none lives.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include "queue.h"

/* Makes sure that a runner lives: starts one in the background if none does; with now, wakes
 * the one that does. Where only root may deliver, that is root's to see to. 0; 1: it is somebody
 * else's, and nothing of it will be seen here; -1 with errno: the mail is safe, but nobody delivers
 * it now. */
int runner_start(struct spool *s, const struct queue_options *o);

#endif
