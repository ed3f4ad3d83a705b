/* SPDX-License-Identifier: ISC */
#include "local.h"
#include "sandbox.h"
#include "user.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct delivery {
	struct local_job *job;
	struct worker_link *runner;
};

static struct worker_frame
frame(const struct delivery *d, enum worker_kind kind)
{
	return (struct worker_frame){
		.kind = kind, .job = d->job->job, .number = d->job->number, .fd = -1,
	};
}

/* The runner's word that what we told it is on disk. */
static int
wait_for_go(const struct delivery *d)
{
	struct worker_frame f;

	return worker_receive_wait(d->runner, &f) == 1 && f.kind == WORKER_GO ? 0 : -1;
}

static int
intend(void *ctx, const struct mbox_place *place)
{
	struct delivery *d = ctx;
	struct worker_frame f = frame(d, WORKER_MAILBOX);

	f.place[0] = place->device;
	f.place[1] = place->inode;
	f.place[2] = place->start;
	return worker_send_wait(d->runner, &f) || wait_for_go(d) ? -1 : 0;
}

static struct outcome
deliver(struct delivery *d, struct mbox *m)
{
	struct user u;
	struct outcome o;
	const char *path = d->job->mbox.path;

	enum user_result who = user_by_name(d->job->user, &u);
	if (who == USER_UNKNOWN)
		return outcome_make(PERMFAIL, 1, 1, "no such user here: %.*s",
				    STR_ARG(d->job->user));
	if (who == USER_ERROR)
		return outcome_make(TEMPFAIL, 3, 0, "cannot read /etc/passwd: %s",
				    strerror(errno));
	if (mbox_create(path, u.uid, u.gid))
		o = outcome_from_errno(errno, path);
	else if (sandbox_become(u.uid, u.gid))
		o = outcome_make(TEMPFAIL, 2, 0, "only root can deliver to %s for another user",
				 path);
	else
		o = mbox_deliver(m, &d->job->mbox);
	user_free(&u);
	return o;
}

void
local_run(struct local_job *job, struct worker_link *runner)
{
	struct delivery d = {job, runner};
	struct mbox m = {.fd = -1};
	struct worker_frame f = frame(&d, WORKER_OUTCOME);

	job->mbox.intend = intend;
	job->mbox.ctx = &d;
	f.outcome = deliver(&d, &m);
	f.relay = STR("local");
	if (worker_send_wait(runner, &f) == 0 && f.outcome.verdict == DELIVERED)
		wait_for_go(&d);
	mbox_release(&m);
	_exit(EX_OK);
}
