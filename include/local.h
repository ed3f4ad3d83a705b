/* SPDX-License-Identifier: ISC */
/*
 * The local worker: one process, one recipient. Becomes the recipient, says where it will
 * write, waits until the runner has that on disk, delivers, and keeps the mailbox locked
 * until the runner has recorded the verdict.
 */
#ifndef LOCAL_H
#define LOCAL_H

#include "mbox.h"
#include "worker.h"

struct local_job {
	struct str user;         /* the system's name for the recipient */
	uint32_t job, number;    /* as in worker_frame */
	struct mbox_job mbox;    /* intend and ctx are local.c's to set */
};

/* The worker's whole life; does not return. */
_Noreturn void local_run(struct local_job *job, struct worker_link *runner);

#endif
