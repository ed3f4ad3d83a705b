/* SPDX-License-Identifier: ISC */
/*
 * The relay worker: one process, one destination. Takes parcels from the runner, offers them to
 * the destination's servers over one connection, and answers with outcomes. It opens no spool
 * file: descriptors come with the parcels.
 */
#ifndef RELAY_H
#define RELAY_H

#include "reach.h"
#include "worker.h"

/* The worker's whole life; does not return. dead: hosts, as was known when it began. */
_Noreturn void relay_run(const struct conf *c, const struct destination *to,
			 const struct outage_list *dead, struct worker_link *runner);

#endif
