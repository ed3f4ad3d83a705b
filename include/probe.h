/* SPDX-License-Identifier: ISC */
/*
 * Does the configuration work (sendmail -bv -v)? Goes to the servers that mail would go to, as
 * the queue would, until one of them could be sent mail; none is.
 */
#ifndef PROBE_H
#define PROBE_H

#include "addr.h"
#include "route.h"

struct probe {
	unsigned servers;        /* bit i for smarthost i */
	struct addr_set domains; /* whose exchangers */
};

/* Where mail by that route goes is to be tried. */
void probe_add(struct probe *p, const struct route *r);

/* Tries each smarthost that was added, and for each domain one exchanger after the other until
 * one works. For each a line on standard output, details by log_debug. EX_OK; else the status
 * of the first that does not work, as outcome_final_sysexit's. */
int probe_run(const struct probe *p, const struct conf *c);

#endif
