/* SPDX-License-Identifier: ISC */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { HEAD = 296 }; /* a frame's fixed part */

/* Calls that still fail for want of the kernel's memory. */
static unsigned refusals;
static int refusal;

static bool
is_refused(void)
{
	errno = refusal;
	return refusals > 0 && refusals--;
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	return is_refused() ? -1 : syscall(SYS_sendmsg, fd, m, flags);
}

ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
	return is_refused() ? -1 : syscall(SYS_recvmsg, fd, m, flags);
}

struct ends {
	struct worker_link parent, child;
};

static int
set_up(void **state)
{
	static struct ends ends;

	*state = &ends;
	return worker_pair(&ends.parent, &ends.child);
}

static int
tear_down(void **state)
{
	struct ends *e = *state;

	worker_close(&e->parent);
	worker_close(&e->child);
	return 0;
}

static unsigned
count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static bool
same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static void
expect_frame(const struct worker_frame *got, const struct worker_frame *want)
{
	assert_int_equal(got->kind, want->kind);
	assert_int_equal(got->job, want->job);
	assert_int_equal(got->number, want->number);
	assert_memory_equal(got->place, want->place, sizeof got->place);
	assert_int_equal(got->outcome.verdict, want->outcome.verdict);
	assert_int_equal(got->outcome.subject, want->outcome.subject);
	assert_int_equal(got->outcome.detail, want->outcome.detail);
	assert_int_equal(got->outcome.code, want->outcome.code);
	assert_string_equal(got->outcome.text, want->outcome.text);
	assert_true(str_eq(got->relay, want->relay));
	assert_true(str_eq(got->payload, want->payload));
}

static void
test_every_kind(void **state)
{
	static const struct { enum worker_kind kind; bool to_child; } cases[] = {
		{WORKER_JOB, true}, {WORKER_GO, true}, {WORKER_FINISH, true},
		{WORKER_OUTCOME, false}, {WORKER_DONE, false}, {WORKER_SESSION, false},
		{WORKER_MAILBOX, false},
	};
	struct ends *e = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct worker_link *from = cases[i].to_child ? &e->parent : &e->child;
		struct worker_link *to = cases[i].to_child ? &e->child : &e->parent;
		struct worker_frame got, frame = {
			.kind = cases[i].kind, .job = UINT32_MAX, .number = 7,
			.place = {UINT64_MAX, 2, 3},
			.outcome = outcome_make(PERMFAIL, 1, 999, "no %s", "such us\xc3\xa9r"),
			.relay = STR("mail.example[192.0.2.1]:25"), .fd = -1,
		};
		frame.outcome.code = 550;
		if (cases[i].kind == WORKER_JOB)
			frame.payload = STR("a\0b");
		assert_int_equal(worker_receive(to, &got), 0);
		assert_int_equal(worker_send(from, &frame), 0);
		assert_int_equal(worker_send(from, &(struct worker_frame){.kind = frame.kind}), 0);
		assert_int_equal(worker_receive(to, &got), 1);
		expect_frame(&got, &frame);
		assert_int_equal(got.fd, -1);
		assert_int_equal(worker_receive(to, &got), 1);
		assert_int_equal(got.outcome.verdict, TEMPFAIL);
		assert_int_equal(got.job, 0);
		assert_int_equal(got.relay.len, 0);
		if (got.fd >= 0) /* 0 is a descriptor, where there may be one */
			close(got.fd);
		assert_int_equal(got.fd >= 0, cases[i].kind == WORKER_JOB);
		assert_int_equal(worker_receive(to, &got), 0);
	}
}

static void
test_descriptors(void **state)
{
	struct ends *e = *state;
	unsigned before = count_fds();
	int pipes[3][2];
	struct worker_frame got;

	/* Each with another file; a frame without one between them. */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
		struct worker_frame job = {.kind = WORKER_JOB, .job = i, .fd = pipes[i][0],
			.payload = STR("payload")};
		assert_int_equal(worker_send(&e->parent, &job), 0);
		job = (struct worker_frame){.kind = WORKER_GO, .fd = -1};
		assert_int_equal(worker_send(&e->parent, &job), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(worker_receive(&e->child, &got), 1);
		assert_int_equal(got.job, i);
		assert_true(same_file(got.fd, pipes[i][0]));
		assert_int_equal(fcntl(got.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		close(got.fd);
		assert_int_equal(worker_receive(&e->child, &got), 1);
		assert_int_equal(got.kind, WORKER_GO);
		assert_int_equal(got.fd, -1);
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	assert_int_equal(count_fds(), before);
}

static struct buf
large_payload(void)
{
	struct buf b = {0};

	while (b.len < 1 << 20)
		buf_puts(&b, "recipient@example.org\n");
	return b;
}

/* More than the socket takes: the parent goes on at once; its copies of the descriptors do
 * not need the originals. */
static void
test_large_payload(void **state)
{
	struct ends *e = *state;
	unsigned before = count_fds();
	struct buf payload = large_payload();
	struct worker_frame got, job = {.kind = WORKER_JOB, .payload = buf_view(&payload)};
	int fds[3] = {-1};

	assert_int_equal(pipe2(fds + 1, O_CLOEXEC), 0);
	for (job.job = 0; job.job < 3; job.job++) {
		job.fd = fds[job.job];
		assert_int_equal(worker_send(&e->parent, &job), 0);
		assert_true(worker_wants_write(&e->parent));
		if (job.fd >= 0)
			close(job.fd);
	}
	job.fd = e->parent.fd;
	assert_int_equal(worker_send(&e->parent, &job), -1); /* a third has no room */
	assert_int_equal(errno, ENOBUFS);
	for (unsigned n = 0; n < 3;) {
		assert_int_equal(worker_flush(&e->parent), 0);
		int rc = worker_receive(&e->child, &got);
		assert_true(rc >= 0);
		if (rc == 0)
			continue;
		assert_int_equal(got.job, n);
		assert_true(str_eq(got.payload, buf_view(&payload)));
		assert_int_equal(got.fd >= 0, n > 0);
		if (n > 0) {
			int mode = fcntl(got.fd, F_GETFL) & O_ACCMODE;
			assert_int_equal(mode, n == 1 ? O_RDONLY : O_WRONLY);
			close(got.fd);
		}
		n++;
	}
	assert_false(worker_wants_write(&e->parent));
	assert_int_equal(count_fds(), before);
	buf_free(&payload);
}

static void
test_close_lets_go(void **state)
{
	struct buf payload = large_payload();
	struct worker_frame got, job = {.kind = WORKER_JOB, .payload = buf_view(&payload)};
	unsigned before = count_fds();
	struct ends e;

	(void)state;
	assert_int_equal(worker_pair(&e.parent, &e.child), 0);
	for (unsigned i = 0; i < 3; i++) {
		job.fd = e.parent.fd;
		assert_int_equal(worker_send(&e.parent, &job), 0);
	}
	assert_int_equal(worker_receive(&e.child, &got), 0); /* a part, with its descriptor */
	worker_close(&e.parent);
	worker_close(&e.child);
	assert_int_equal(count_fds(), before);
	buf_free(&payload);
}

/* A real child that waits for its jobs and answers. */
static void
test_waiting(void **state)
{
	struct ends *e = *state;
	struct buf payload = large_payload();
	struct worker_frame got;
	int status;

	pid_t pid = fork();
	if (pid == 0) {
		worker_close(&e->parent);
		while (worker_receive_wait(&e->child, &got) == 1 && got.kind == WORKER_JOB)
			for (uint32_t i = 0; i < 2000; i++) {
				struct worker_frame answer = {.kind = WORKER_OUTCOME, .job = got.job,
					.number = i, .place = {got.payload.len}, .fd = -1};
				if (worker_send_wait(&e->child, &answer))
					_exit(1);
			}
		_exit(got.kind == WORKER_FINISH ? 42 : 2);
	}
	worker_close(&e->child);
	struct worker_frame job = {.kind = WORKER_JOB, .job = 5, .fd = -1,
		.payload = buf_view(&payload)};
	assert_int_equal(worker_send(&e->parent, &job), 0);
	for (uint32_t i = 0; i < 2000;) {
		int rc = worker_wants_write(&e->parent) ? worker_flush(&e->parent) : 0;
		assert_int_equal(rc, 0);
		if (worker_wants_write(&e->parent))
			rc = worker_receive(&e->parent, &got);
		else
			rc = worker_receive_wait(&e->parent, &got);
		assert_true(rc >= 0);
		if (rc == 0)
			continue;
		assert_int_equal(got.job, 5);
		assert_int_equal(got.number, i++);
		assert_int_equal(got.place[0], payload.len);
	}
	job = (struct worker_frame){.kind = WORKER_FINISH, .fd = -1};
	assert_int_equal(worker_send(&e->parent, &job), 0);
	assert_int_equal(worker_receive_wait(&e->parent, &got), -1);
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 42);
	buf_free(&payload);
}

/* What a worker's frame looks like on the wire. */
static size_t
raw_frame(struct ends *e, enum worker_kind kind, const char *relay, char *dst, size_t cap)
{
	struct worker_frame f = {.kind = kind, .fd = -1, .relay = str_of(relay)};

	f.outcome = outcome_make(DELIVERED, 0, 0, "250 ok");
	assert_int_equal(worker_send(&e->child, &f), 0);
	return (size_t)recv(e->parent.fd, dst, cap, MSG_DONTWAIT);
}

static void
test_half_a_frame(void **state)
{
	struct ends *e = *state;
	char raw[1024];
	struct worker_frame got;
	size_t len = raw_frame(e, WORKER_OUTCOME, "host", raw, sizeof raw);

	assert_int_equal(len, HEAD + 4);
	for (size_t cut = 0; cut < len; cut++) {
		assert_int_equal(send(e->child.fd, raw, cut, 0), cut);
		assert_int_equal(worker_receive(&e->parent, &got), 0);
		assert_int_equal(send(e->child.fd, raw + cut, len - cut, 0), len - cut);
		assert_int_equal(worker_receive(&e->parent, &got), 1);
		assert_int_equal(got.outcome.verdict, DELIVERED);
		assert_true(str_eq(got.relay, STR("host")));
	}
	assert_int_equal(send(e->child.fd, raw, len - 1, 0), len - 1);
	worker_close(&e->child);
	assert_int_equal(worker_receive(&e->parent, &got), -1);
	struct worker_frame go = {.kind = WORKER_GO, .fd = -1};
	/* That is heard of by who listens; what it was sent waits. */
	assert_int_equal(worker_send(&e->parent, &go), 0);
	assert_true(worker_wants_write(&e->parent));
	assert_int_equal(worker_flush(&e->parent), -1);
	assert_int_equal(errno, EPIPE);
}

/* One field of the head out of range. The offsets are those of struct head. */
static void
test_nonsense(void **state)
{
	static const struct { size_t at, len; uint32_t value; } cases[] = {
		{24, 4, WORKER_JOB}, {24, 4, WORKER_GO}, {24, 4, WORKER_FINISH}, {24, 4, 7},
		{24, 4, UINT32_MAX},
		{36, 4, 1},                        /* a descriptor that is not there */
		{40, 4, 513}, {40, 4, UINT32_MAX}, /* relay's length */
		{44, 4, 1}, {44, 4, UINT32_MAX},   /* payload's */
		{48, 2, PERMFAIL + 1}, {50, 2, 1000}, {52, 2, 1000}, {54, 2, 600},
	};
	char raw[1024];
	struct worker_frame got;
	size_t len = raw_frame(*state, WORKER_OUTCOME, "", raw, sizeof raw);

	assert_int_equal(len, HEAD);
	for (size_t i = 0; i <= sizeof cases / sizeof *cases; i++) {
		struct ends e;
		char bad[HEAD];
		assert_int_equal(worker_pair(&e.parent, &e.child), 0);
		memcpy(bad, raw, HEAD);
		if (i == sizeof cases / sizeof *cases)
			memset(bad + 56, 'x', 240); /* words without an end */
		else
			memcpy(bad + cases[i].at, &cases[i].value, cases[i].len);
		assert_int_equal(send(e.child.fd, bad, HEAD, 0), HEAD);
		assert_int_equal(worker_receive(&e.parent, &got), -1);
		worker_close(&e.parent);
		worker_close(&e.child);
	}
}

static void
test_hostile_words(void **state)
{
	struct ends *e = *state;
	char raw[1024];
	struct worker_frame got;
	size_t len = raw_frame(e, WORKER_SESSION, "a b\nc\x7f\xff", raw, sizeof raw);

	memcpy(raw + 56, "ok\nforged: line\033[2J", 20);
	assert_int_equal(send(e->child.fd, raw, len, 0), len);
	assert_int_equal(worker_receive(&e->parent, &got), 1);
	assert_string_equal(got.outcome.text, "ok?forged: line?[2J");
	assert_true(str_eq(got.relay, STR("a?b?c??")));
}

static void
send_fds(int socket, const char *bytes, size_t len, const int *fds, size_t count)
{
	union { struct cmsghdr h; char space[CMSG_SPACE(4 * sizeof(int))]; } control = {0};
	struct iovec v = {(char *)bytes, len};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = CMSG_SPACE(count * sizeof(int))};

	control.h.cmsg_level = SOL_SOCKET;
	control.h.cmsg_type = SCM_RIGHTS;
	control.h.cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(&control.h), fds, count * sizeof(int));
	assert_int_equal(sendmsg(socket, &m, 0), len);
}

/* Descriptors where none belong are an error, and none of them stays open. */
static void
test_uninvited_descriptors(void **state)
{
	char raw[1024];
	size_t len = raw_frame(*state, WORKER_OUTCOME, "host", raw, sizeof raw);
	unsigned before = count_fds();

	for (size_t count = 1; count <= 4; count++)
		for (size_t at = 0; at < len; at += 99) {
			struct ends e;
			struct worker_frame got;
			raw[36] = at == 0 && count == 1; /* "with a descriptor": not this kind */
			assert_int_equal(worker_pair(&e.parent, &e.child), 0);
			if (at > 0)
				assert_int_equal(send(e.child.fd, raw, at, 0), at);
			send_fds(e.child.fd, raw + at, len - at, (int[]){0, 1, 2, 0}, count);
			assert_int_equal(worker_receive(&e.parent, &got), -1);
			worker_close(&e.parent);
			worker_close(&e.child);
			assert_int_equal(count_fds(), before);
		}
}

static void
test_too_large(void **state)
{
	struct ends *e = *state;
	struct worker_frame f = {.kind = WORKER_JOB, .fd = -1, .payload = {"", LIMIT_ENVELOPE + 1}};

	assert_int_equal(worker_send(&e->parent, &f), -1);
	assert_int_equal(errno, EMSGSIZE);
	f.payload.len = 0;
	f.relay = (struct str){"", 513};
	assert_int_equal(worker_send(&e->parent, &f), -1);
	f.relay.len = 0;
	f.fd = e->parent.fd + 1000; /* cannot be copied */
	assert_int_equal(worker_send(&e->parent, &f), -1);
	assert_false(worker_wants_write(&e->parent));
}

/* No memory for a moment does not mean that the runner is gone. */
static void
test_kernel_out_of_memory(void **state)
{
	struct ends *e = *state;
	struct worker_frame f = {.kind = WORKER_DONE, .fd = -1};

	refusals = 2;
	refusal = ENOBUFS;
	assert_int_equal(worker_send_wait(&e->child, &f), 0);
	assert_int_equal(refusals, 0);
	assert_int_equal(worker_receive(&e->parent, &f), 1);
	refusals = 1;
	refusal = ENOMEM;
	f = (struct worker_frame){.kind = WORKER_FINISH, .fd = -1};
	assert_int_equal(worker_send(&e->parent, &f), 0);
	assert_true(worker_wants_write(&e->parent));
	assert_int_equal(worker_flush(&e->parent), 0);
	refusals = 1;
	assert_int_equal(worker_receive(&e->child, &f), 0);
	assert_int_equal(worker_receive(&e->child, &f), 1);
	refusals = 2;
	refusal = EPIPE;
	f = (struct worker_frame){.kind = WORKER_DONE, .fd = -1};
	assert_int_equal(worker_send_wait(&e->child, &f), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_kind),
		TEST(test_descriptors),
		TEST(test_large_payload),
		TEST(test_close_lets_go),
		TEST(test_waiting),
		TEST(test_half_a_frame),
		TEST(test_nonsense),
		TEST(test_hostile_words),
		TEST(test_uninvited_descriptors),
		TEST(test_too_large),
		TEST(test_kernel_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
