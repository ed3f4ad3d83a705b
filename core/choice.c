/* SPDX-License-Identifier: ISC */
#include "choice.h"

#include <string.h>

enum {
	WINDOW = 4096,       /* messages sorted at a time: a look at the directory for each */
	NAME = SPOOL_ID + 1, /* id, then state: sorts by arrival */
};

/* The oldest of those that are newer than last: a heap, the newest on top. */
struct window {
	char names[WINDOW][NAME];
	size_t count;
	char last[NAME];
};

static void
sift(struct window *w, size_t count, size_t at)
{
	char name[NAME];
	size_t below;

	memcpy(name, w->names[at], NAME);
	while ((below = 2 * at + 1) < count) {
		below += below + 1 < count &&
			 memcmp(w->names[below], w->names[below + 1], NAME) < 0;
		if (memcmp(name, w->names[below], NAME) >= 0)
			break;
		memcpy(w->names[at], w->names[below], NAME);
		at = below;
	}
	memcpy(w->names[at], name, NAME);
}

static void
make_heap(struct window *w)
{
	for (size_t at = w->count / 2; at-- > 0;)
		sift(w, w->count, at);
}

static void
sort(struct window *w)
{
	char top[NAME];

	make_heap(w);
	for (size_t n = w->count; n-- > 1;) {
		memcpy(top, w->names[0], NAME);
		memcpy(w->names[0], w->names[n], NAME);
		memcpy(w->names[n], top, NAME);
		sift(w, n, 0);
	}
}

struct gathering {
	const struct choice *choice;
	struct window *window;
};

static void
add_name(void *ctx, char state, struct str id)
{
	const struct gathering *g = ctx;
	struct window *w = g->window;
	char name[NAME];

	memcpy(name, id.ptr, SPOOL_ID);
	name[SPOOL_ID] = state;
	if (!strchr(g->choice->states, state) || memcmp(name, w->last, NAME) <= 0)
		return;
	if (w->count < WINDOW) {
		memcpy(w->names[w->count++], name, NAME);
		if (w->count == WINDOW)
			make_heap(w);
	} else if (memcmp(name, w->names[0], NAME) < 0) {
		memcpy(w->names[0], name, NAME);
		sift(w, WINDOW, 0);
	}
}

static int
walk(const struct choice *c, struct spool *s,
     void (*visit)(void *ctx, char state, struct str id), void *ctx)
{
	struct window *w = buf_array(NULL, 1, sizeof *w);
	struct gathering g = {c, w};
	int rc;

	memset(w->last, 0, NAME);
	do {
		w->count = 0;
		rc = spool_walk(s, add_name, &g);
		sort(w);
		for (size_t n = 0; n < w->count && !rc; n++)
			visit(ctx, w->names[n][SPOOL_ID], (struct str){w->names[n], SPOOL_ID});
		if (w->count)
			memcpy(w->last, w->names[w->count - 1], NAME);
	} while (w->count == WINDOW && !rc);
	buf_release(w);
	return rc;
}

int
choice_walk(const struct choice *c, struct spool *s,
	    void (*visit)(void *ctx, char state, struct str id), void *ctx)
{
	for (size_t n = 0; n < c->id_count; n++) {
		struct str id = str_of(c->ids[n]);
		visit(ctx, spool_find(s, id), id);
	}
	return c->id_count ? 0 : walk(c, s, visit, ctx);
}

static bool
contains(struct str s, struct str part)
{
	for (; s.len >= part.len; s = str_from(s, 1))
		if (str_istarts(s, part))
			return true;
	return false;
}

bool
choice_is_open(const struct journal *j, const struct journal_rcpt *r)
{
	return r->fate == JOURNAL_PENDING || (r->fate == JOURNAL_FAILED && journal_owes(j, r));
}

bool
choice_is_narrow(const struct choice *c)
{
	return c->sender.len || c->recipient.len;
}

bool
choice_fits(const struct choice *c, const struct envelope *e, const struct journal *j)
{
	if (!contains(e->sender, c->sender))
		return false;
	for (size_t n = 0; n < j->count && c->recipient.len; n++)
		if (choice_is_open(j, &j->rcpts[n]) &&
		    contains(j->rcpts[n].address, c->recipient))
			return true;
	return !c->recipient.len;
}
