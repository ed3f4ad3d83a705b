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

/* The worker's whole life; does not return. dead: hosts, as was known when it began. Hot, and so
 * is what starts it; what begins the other processes is cold. For the linker puts cold functions,
 * and those that only they call, together at the program's beginning, and the first 64 kB are
 * then not in a worker's memory. */
_Noreturn void relay_run(const struct conf *c, const struct destination *to,
			 const struct outage_list *dead, struct worker_link *runner)
	__attribute__((hot));

#endif
