/* SPDX-License-Identifier: ISC */
#include "worker.h"
#include "nap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RELAY_MAX = 512,     /* a host's name, its address and a port */
	READ_MAX = 64 << 10, /* at once: memory for what comes, not what is announced */
	MEMORY_MS = 50,      /* a pause for a kernel that has no memory for us just now */
};

/* A frame on the socket: this, then relay, then payload. In the machine's own byte order:
 * both ends are the same program. Without padding, so that no stray memory goes along. */
struct head {
	uint64_t place[3];
	uint32_t kind, job, number;
	uint32_t with_fd;
	uint32_t relay_len, payload_len;
	uint16_t verdict, subject, detail, code;
	char text[LIMIT_OUTCOME_TEXT];
};

_Static_assert(sizeof(struct head) == 24 + 24 + 8 + LIMIT_OUTCOME_TEXT, "padding");

/* Room for one descriptor. */
union control {
	struct cmsghdr header; /* for its alignment */
	char space[CMSG_SPACE(sizeof(int))];
};

/* Who may say what: a worker that a server took over cannot give its runner a job. */
static bool
is_for_worker(uint32_t kind)
{
	return kind == WORKER_JOB || kind == WORKER_GO || kind == WORKER_FINISH;
}

static void
init(struct worker_link *l, int fd, bool worker)
{
	*l = (struct worker_link){.fd = fd, .worker = worker, .in_fd = -1};
}

int
worker_pair(struct worker_link *parent, struct worker_link *child)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -1;
	init(parent, fds[0], false);
	init(child, fds[1], true);
	return 0;
}

void
worker_close(struct worker_link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->in_fd >= 0)
		close(l->in_fd);
	for (unsigned i = 0; i < l->send_fds; i++)
		close(l->send_fd[i].fd);
	buf_free(&l->in);
	buf_free(&l->out);
	init(l, -1, l->worker);
}

/* Sends len bytes from at on, and fd with the first of them. */
static ssize_t
send_some(const struct worker_link *l, size_t at, size_t len, int fd)
{
	union control control = {0};
	struct iovec bytes = {l->out.ptr + at, len};
	struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	do
		n = sendmsg(l->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Takes what has been sent off the buffer. */
static void
consume(struct worker_link *l, size_t sent)
{
	if (sent == l->out.len) {
		buf_free(&l->out); /* it may be large, and the next one a long time off */
		return;
	}
	memmove(l->out.ptr, l->out.ptr + sent, l->out.len - sent);
	l->out.len -= sent;
	for (unsigned i = 0; i < l->send_fds; i++)
		l->send_fd[i].at -= sent;
}

/* The other end is still there: what is left waits. */
static bool
is_for_now(int err)
{
	if (err == ENOBUFS || err == ENOMEM)
		nap(MEMORY_MS);
	return err == EAGAIN || err == ENOBUFS || err == ENOMEM;
}

int
worker_flush(struct worker_link *l)
{
	size_t sent = 0;
	ssize_t n = 0;

	while (sent < l->out.len) {
		/* A descriptor goes with the first byte of its own frame. */
		bool due = l->send_fds > 0 && l->send_fd[0].at == sent;
		size_t end = l->send_fds > due ? l->send_fd[due].at : l->out.len;
		n = send_some(l, sent, end - sent, due ? l->send_fd[0].fd : -1);
		if (n < 0)
			break;
		sent += (size_t)n;
		if (due) {
			close(l->send_fd[0].fd);
			l->send_fd[0] = l->send_fd[1];
			l->send_fds--;
		}
	}
	int err = errno;
	consume(l, sent);
	errno = err;
	return n < 0 && !is_for_now(err) ? -1 : 0;
}

bool
worker_wants_write(const struct worker_link *l)
{
	return l->out.len > 0;
}

static int
attach(struct worker_link *l, int fd)
{
	if (l->send_fds == sizeof l->send_fd / sizeof l->send_fd[0]) {
		errno = ENOBUFS;
		return -1;
	}
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -1;
	l->send_fd[l->send_fds].fd = copy;
	l->send_fd[l->send_fds++].at = l->out.len;
	return 0;
}

int
worker_send(struct worker_link *l, const struct worker_frame *frame)
{
	bool with_fd = frame->kind == WORKER_JOB && frame->fd >= 0;
	struct head h = {
		.place = {frame->place[0], frame->place[1], frame->place[2]},
		.kind = frame->kind, .job = frame->job, .number = frame->number,
		.with_fd = with_fd, .relay_len = (uint32_t)frame->relay.len,
		.payload_len = (uint32_t)frame->payload.len,
		.verdict = frame->outcome.verdict, .subject = frame->outcome.subject,
		.detail = frame->outcome.detail, .code = frame->outcome.code,
	};

	if (frame->relay.len > RELAY_MAX || frame->payload.len > LIMIT_ENVELOPE) {
		errno = EMSGSIZE;
		return -1;
	}
	if (with_fd && attach(l, frame->fd))
		return -1;
	memcpy(h.text, frame->outcome.text, sizeof h.text);
	buf_add(&l->out, &h, sizeof h);
	buf_str(&l->out, frame->relay);
	buf_str(&l->out, frame->payload);
	worker_flush(l);
	return 0;
}

/* Keeps the one descriptor that may come with a frame; is_sound says whether it may. */
static void
keep_fd(struct worker_link *l, struct msghdr *m)
{
	int fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof fd;
		for (size_t i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (l->in_fd < 0)
				l->in_fd = fd;
			else
				close(fd);
		}
	}
}

/* Reads once, at most len bytes. As worker_receive; 1: there were some. */
static int
read_some(struct worker_link *l, size_t len)
{
	union control control;
	size_t cap = len < READ_MAX ? len : READ_MAX;
	struct iovec bytes = {buf_room(&l->in, cap), cap};
	struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t n;

	do
		n = recvmsg(l->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return is_for_now(errno) ? 0 : -1;
	keep_fd(l, &m);
	if (n == 0)
		return -1;
	l->in.len += (size_t)n;
	return 1;
}

/* May the other end say this? It may have been taken over by a hostile server. */
static bool
is_sound(const struct worker_link *l, const struct head *h)
{
	bool job = h->kind == WORKER_JOB;

	return h->kind <= WORKER_FINISH && is_for_worker(h->kind) == l->worker &&
	       h->with_fd <= job && h->with_fd == (l->in_fd >= 0) &&
	       h->relay_len <= RELAY_MAX &&
	       h->payload_len <= (job || h->kind == WORKER_EXPAND ? LIMIT_ENVELOPE : 0) &&
	       h->verdict <= PERMFAIL && h->subject <= 999 && h->detail <= 999 &&
	       h->code <= 599 && memchr(h->text, '\0', sizeof h->text);
}

/* Fills *frame from a whole one in l->in. */
static void
unpack(struct worker_link *l, const struct head *h, struct worker_frame *frame)
{
	char *relay = l->in.ptr + sizeof *h;

	for (size_t i = 0; i < h->relay_len; i++)
		if (relay[i] <= ' ' || relay[i] > '~')
			relay[i] = '?';
	frame->kind = h->kind;
	frame->job = h->job;
	frame->number = h->number;
	memcpy(frame->place, h->place, sizeof frame->place);
	frame->outcome = outcome_make(h->verdict, h->subject, h->detail, "%s", h->text);
	frame->outcome.code = h->code;
	frame->relay = (struct str){relay, h->relay_len};
	frame->payload = (struct str){relay + h->relay_len, h->payload_len};
	frame->fd = l->in_fd;
	l->in_fd = -1;
	l->in_used = l->in.len;
}

int
worker_receive(struct worker_link *l, struct worker_frame *frame)
{
	struct head h;
	size_t need = sizeof h;
	int rc;

	if (l->in_used > 0)
		buf_free(&l->in);
	l->in_used = 0;
	/* Never more than is left of this frame: a descriptor that comes is its own. */
	for (;;) {
		if (l->in.len >= sizeof h) {
			memcpy(&h, l->in.ptr, sizeof h);
			if (!is_sound(l, &h))
				return -1;
			need = sizeof h + h.relay_len + h.payload_len;
			if (l->in.len == need)
				break;
		}
		if ((rc = read_some(l, need - l->in.len)) <= 0)
			return rc;
	}
	unpack(l, &h, frame);
	return 1;
}

static int
wait_for(const struct worker_link *l, short events)
{
	struct pollfd p = {.fd = l->fd, .events = events};

	return poll(&p, 1, -1) < 0 && errno != EINTR ? -1 : 0;
}

int
worker_send_wait(struct worker_link *l, const struct worker_frame *frame)
{
	int rc = worker_send(l, frame);

	while (rc == 0 && worker_wants_write(l))
		rc = wait_for(l, POLLOUT) ? -1 : worker_flush(l);
	return rc;
}

int
worker_receive_wait(struct worker_link *l, struct worker_frame *frame)
{
	int rc;

	while ((rc = worker_receive(l, frame)) == 0)
		if (wait_for(l, POLLIN))
			return -1;
	return rc;
}
