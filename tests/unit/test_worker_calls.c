/* SPDX-License-Identifier: ISC */
/* Each call of the system between a runner and its worker fails once: it must say so. */
#include "calls.h"
#include "worker.h"

#include <signal.h>

static struct buf payload;

/* The other process: takes the job, lets go of it. */
_Noreturn static void
work(struct worker_link *l)
{
	struct worker_frame f = {.fd = -1}, done = {.kind = WORKER_DONE, .fd = -1};

	calls.counting = false;
	if (worker_receive_wait(l, &f) != 1 || f.payload.len != payload.len)
		_exit(1);
	_exit(worker_send_wait(l, &done) ? 2 : f.fd < 0 ? 3 : 0);
}

static int
serve(struct worker_link *l)
{
	struct worker_frame f = {.kind = WORKER_JOB, .payload = buf_view(&payload), .fd = 0};

	if (worker_send_wait(l, &f) || worker_receive_wait(l, &f) != 1)
		return -1;
	assert_int_equal(f.kind, WORKER_DONE);
	return 0;
}

static int
run(void)
{
	struct worker_link ours, theirs;
	int status;

	count_calls();
	if (worker_pair(&ours, &theirs)) {
		calls.counting = false;
		return -1;
	}
	calls.counting = false;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ours.fd);
		work(&theirs);
	}
	worker_close(&theirs);
	calls.counting = true;
	int rc = serve(&ours), err = errno;
	calls.counting = false;
	worker_close(&ours);
	assert_int_equal(REAL(waitpid)(pid, &status, 0), pid);
	if (rc == 0)
		assert_int_equal(status, 0);
	errno = err;
	return rc;
}

/* From the first byte on each piece is waited for, and each has its chance. */
static void
test_talk(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		payload.len = 0;
		for (unsigned i = 0; i < (n ? 300000 : 3); i++)
			buf_putc(&payload, 'x');
		each_call_fails("a job", run, EIO, " close1 sendmsg ");
		each_call_interrupted("a job", run);
	}
	buf_free(&payload);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_talk)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
