/* SPDX-License-Identifier: ISC */
#include "relay.h"
#include "clock.h"
#include "encode.h"
#include "io.h"
#include "log.h"
#include "net.h"
#include "parcel.h"
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	RAW = 2 << 10,   /* read from the message at a time */
	MOMENT_MS = 500, /* for the runner to answer a verdict with the next message */
};

/* A message under way. */
struct job {
	bool used;
	uint32_t number;
	struct buf payload;
	struct parcel parcel;
	int fd;
	unsigned char *state;
	struct smtp_message message;
	struct source source;
	struct encode encode;
	struct wire wire;
	uint64_t made;             /* of its body, for the wire */
	bool body_over;
};

struct relay {
	struct worker_link *runner;
	struct reach reach;
	struct talk talk;
	struct job jobs[2];
	struct job *waiting[2];  /* for the engine, oldest first */
	unsigned waiting_count;
	bool finish;             /* the runner has nothing more */
	bool blamed;             /* a message, for the end of a session; none was taken since */
};

static void
begin_job(struct job *j, const struct worker_frame *f)
{
	j->used = true;
	j->number = f->job;
	j->fd = f->fd;
	j->payload.len = 0;
	buf_str(&j->payload, f->payload);
	if (parcel_parse(buf_view(&j->payload), &j->parcel) || f->fd < 0)
		die(EX_SOFTWARE, "the runner sent a job that cannot be read");
	j->state = buf_array(NULL, j->parcel.rcpt_count, 1);
	memset(j->state, 0, j->parcel.rcpt_count);
	j->source = (struct source){
		.head = j->parcel.head, .fd = j->fd, .offset = j->parcel.offset,
		.length = j->parcel.length, .tail = j->parcel.tail,
	};
	j->message = (struct smtp_message){
		.sender = j->parcel.sender, .rcpts = j->parcel.rcpts,
		.notify = j->parcel.notify, .notifies = j->parcel.notifies,
		.rcpt_count = j->parcel.rcpt_count, .size = source_size(&j->source),
		.eightbit = j->parcel.facts & ENCODE_EIGHTBIT, .state = j->state, .ctx = j,
	};
}

static void
end_job(struct job *j)
{
	parcel_free(&j->parcel);
	buf_release(j->state);
	close(j->fd);
	buf_free(&j->payload);
	j->used = false;
}

static void
tell(struct relay *r, struct worker_frame *f, const struct outcome *o)
{
	f->outcome = *o;
	f->fd = -1;
	/* Without a runner nothing we do is recorded: stop before we do more of it. */
	if (worker_send_wait(r->runner, f))
		_exit(EX_TEMPFAIL);
}

static void
on_verdict(void *ctx, const struct smtp_message *m, size_t rcpt, const struct outcome *o)
{
	struct relay *r = ctx;
	struct job *j = m->ctx;

	r->blamed = r->blamed && o->verdict != DELIVERED;
	tell(r, &(struct worker_frame){
		.kind = WORKER_OUTCOME, .job = j->number, .number = j->parcel.numbers[rcpt],
		.place = {o->passed}, .relay = buf_view(&r->reach.peer),
	}, o);
}

static void
on_lost(void *ctx, struct str host, const struct outcome *why)
{
	tell(ctx, &(struct worker_frame){.kind = WORKER_HOST, .relay = host}, why);
}

/* fatal: the session ended on it. why: the verdict for those that have none. */
static void
let_go(struct relay *r, struct job *j, bool fatal, const struct outcome *why)
{
	tell(r, &(struct worker_frame){
		.kind = WORKER_DONE, .job = j->number, .place = {fatal},
	}, why);
	end_job(j);
}

static void
on_finished(void *ctx, const struct smtp_message *m, bool tried)
{
	struct outcome none = outcome_make(TEMPFAIL, 0, 0, "not attempted");
	struct relay *r = ctx;

	if (tried)
		let_go(r, m->ctx, r->talk.smtp.closed, &none);
	else
		r->waiting[r->waiting_count++] = m->ctx;
}

static struct job *
first_waiting(struct relay *r)
{
	struct job *j = r->waiting[0];

	r->waiting[0] = r->waiting[1];
	r->waiting_count--;
	return j;
}

/* What the runner has sent, if there is something. */
static void
receive(struct relay *r)
{
	struct job *j = &r->jobs[r->jobs[0].used];
	struct worker_frame f;

	int got = worker_receive(r->runner, &f);
	if (got < 0)
		_exit(EX_TEMPFAIL);
	if (got > 0 && f.kind == WORKER_JOB) {
		begin_job(j, &f);
		r->waiting[r->waiting_count++] = j;
	}
	r->finish = got > 0 && f.kind == WORKER_FINISH;
}

static void
begin_body(struct job *j, bool eightbit, bool dots)
{
	j->source.pos = j->made = 0;
	j->body_over = false;
	encode_init(&j->encode, j->parcel.facts, eightbit);
	wire_init(&j->wire, dots);
}

/* Reads a little of the message and makes it ready for the wire. */
static ptrdiff_t
make_some(struct job *j, char *dst, size_t cap)
{
	char raw[RAW], coded[RAW];
	struct str in, piece;
	size_t len = 0;

	ssize_t n = source_read(&j->source, raw, sizeof raw);
	if (n < 0)
		return -1;
	/* The wire form of all that was read is less than four times as long. */
	in = (struct str){raw, (size_t)n};
	do {
		size_t got = n > 0 ? encode_feed(&j->encode, &in, coded, sizeof coded) :
				     encode_finish(&j->encode, coded);
		piece = (struct str){coded, got};
		len += wire_feed(&j->wire, &piece, dst + len, cap - len);
	} while (in.len > 0);
	if (n == 0) {
		len += wire_finish(&j->wire, dst + len);
		j->body_over = true;
	}
	j->made += len;
	return (ptrdiff_t)len;
}

/* Of the chunk that its body makes. 0: it cannot be read, as whoever sends it will find. */
static uint64_t
measure(struct job *j, bool eightbit)
{
	char piece[TALK_PIECE];

	begin_body(j, eightbit, false);
	while (!j->body_over)
		if (make_some(j, piece, sizeof piece) < 0)
			return 0;
	return j->made;
}

static void
hand_over(struct job *j, struct smtp *s)
{
	bool chunk = smtp_takes_chunks(s) && !j->parcel.by_data;

	j->message.chunk = chunk ? measure(j, smtp_takes_eightbit(s)) : 0;
	smtp_send(s, &j->message);
}

static bool
next(void *ctx, struct smtp *s)
{
	struct relay *r = ctx;

	if (r->waiting_count == 0 && !r->finish)
		receive(r);
	if (r->waiting_count > 0)
		hand_over(first_waiting(r), s);
	else
		return !r->finish;
	return true;
}

static bool
expects(void *ctx)
{
	struct relay *r = ctx;
	int64_t deadline = clock_ms() + MOMENT_MS;

	do {
		if (r->waiting_count == 0 && !r->finish)
			receive(r);
	} while (r->waiting_count == 0 && !r->finish &&
		 net_wait(r->runner->fd, POLLIN, -1, deadline) > 0);
	return r->waiting_count > 0;
}

static ptrdiff_t
body(void *ctx, const struct smtp_message *m, bool from_start, bool eightbit, char *dst,
     size_t cap, struct outcome *why)
{
	struct relay *r = ctx;
	struct job *j = m->ctx;
	ptrdiff_t n = 0;

	if (from_start)
		begin_body(j, eightbit, m->chunk == 0);
	while (n == 0 && !j->body_over)
		n = make_some(j, dst, cap);
	if (n < 0)
		*why = outcome_make(TEMPFAIL, 3, 0, "reading the message: %s", strerror(errno));
	/* The server counts them, to know where commands begin. */
	if (m->chunk > 0 && (j->made > m->chunk || (j->body_over && j->made < m->chunk))) {
		*why = outcome_make(TEMPFAIL, 3, 0, "the message has changed while it was sent");
		return -1;
	}
	/* The last look before the server is asked to take responsibility, which the last byte of a
	 * chunk does: somebody must be there to record it. */
	if (j->source.pos == source_size(&j->source) &&
	    net_wait(r->runner->fd, POLLRDHUP, -1, 0) != 0)
		_exit(EX_TEMPFAIL);
	return n;
}

/* No server has answered for any message that waits. If that may lie in the first of them, that
 * one alone is deferred. True: others may go; but if another one comes to the same end, it lies
 * in the servers. */
static bool
blame_first(struct relay *r)
{
	bool again = r->blamed;

	if (!*r->reach.stumble.text || r->waiting_count == 0)
		return false;
	r->blamed = true;
	let_go(r, first_waiting(r), true, &r->reach.stumble);
	return !again;
}

_Noreturn void
relay_run(const struct conf *c, const struct destination *to, const struct outage_list *dead,
	  struct worker_link *runner)
{
	struct relay r = {.runner = runner};
	struct outcome why;

	r.talk.config.verdict = on_verdict;
	r.talk.config.finished = on_finished;
	r.talk.config.ctx = r.talk.ctx = &r;
	r.talk.more = runner->fd;
	r.talk.next = next;
	r.talk.expects = expects;
	r.talk.body = body;
	reach_prepare(&r.reach, c, to, &r.talk);
	r.reach.dead = dead;
	r.reach.lost = on_lost;
	while (!reach_run(&r.reach, &why)) {
		bool others = blame_first(&r);
		if (!others)
			tell(&r, &(struct worker_frame){
				.kind = WORKER_SESSION, .relay = buf_view(&r.reach.peer),
			}, &why);
		if (!others || !expects(&r))
			break;
	}
	reach_free(&r.reach);
	_exit(EX_OK);
}
