/* SPDX-License-Identifier: ISC */
#include "choice.h"
#include "codec.h"

#include <string.h>

enum {
	WINDOW = 16384, /* messages sorted at a time: a look at the directory for each */
	DIGITS = 6,     /* of an id, in each word but the last */
};

/* A name that sorts by arrival: the id's digits, then the state. */
struct key {
	uint32_t word[3];
};

/* The oldest of those that are newer than last: a heap, the newest on top. */
struct window {
	struct key keys[WINDOW];
	size_t count;
	struct key last;
};

static struct key
make_key(char state, struct str id)
{
	return (struct key){{
		(uint32_t)codec_unbase32(str_upto(id, DIGITS)),
		(uint32_t)codec_unbase32(str_upto(str_from(id, DIGITS), DIGITS)),
		(uint32_t)codec_unbase32(str_from(id, 2 * DIGITS)) << 8 | (unsigned char)state,
	}};
}

static char
read_key(const struct key *k, char id[SPOOL_ID])
{
	codec_base32(k->word[0], DIGITS, id);
	codec_base32(k->word[1], DIGITS, id + DIGITS);
	codec_base32(k->word[2] >> 8, SPOOL_ID - 2 * DIGITS, id + 2 * DIGITS);
	return (char)(k->word[2] & 0xff);
}

static bool
is_before(const struct key *a, const struct key *b)
{
	size_t n = 0;

	while (n < 2 && a->word[n] == b->word[n])
		n++;
	return a->word[n] < b->word[n];
}

static void
sift(struct window *w, size_t count, size_t at)
{
	struct key key = w->keys[at];
	size_t below;

	while ((below = 2 * at + 1) < count) {
		below += below + 1 < count && is_before(&w->keys[below], &w->keys[below + 1]);
		if (!is_before(&key, &w->keys[below]))
			break;
		w->keys[at] = w->keys[below];
		at = below;
	}
	w->keys[at] = key;
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
	make_heap(w);
	for (size_t n = w->count; n-- > 1;) {
		struct key top = w->keys[0];
		w->keys[0] = w->keys[n];
		w->keys[n] = top;
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
	struct key key = make_key(state, id);

	if (!strchr(g->choice->states, state) || !is_before(&w->last, &key))
		return;
	if (w->count < WINDOW) {
		w->keys[w->count++] = key;
		if (w->count == WINDOW)
			make_heap(w);
	} else if (is_before(&key, &w->keys[0])) {
		w->keys[0] = key;
		sift(w, WINDOW, 0);
	}
}

static int
walk(const struct choice *c, struct spool *s,
     void (*visit)(void *ctx, char state, struct str id), void *ctx)
{
	struct window *w = buf_array(NULL, 1, sizeof *w);
	struct gathering g = {c, w};
	char id[SPOOL_ID];
	int rc;

	w->last = (struct key){{0}};
	do {
		w->count = 0;
		rc = spool_walk(s, add_name, &g);
		sort(w);
		for (size_t n = 0; n < w->count && !rc; n++) {
			char state = read_key(&w->keys[n], id);
			visit(ctx, state, (struct str){id, SPOOL_ID});
		}
		if (w->count)
			w->last = w->keys[w->count - 1];
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
