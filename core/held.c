/* SPDX-License-Identifier: ISC */
#include "held.h"
#include "log.h"

#include <string.h>

static bool
is_held(struct spool_claim *c)
{
	struct buf text = {0}, log = {0};
	struct envelope e;
	struct journal j;
	const char *why;
	bool held = spool_read(c, &text, &log, &e, &j, &why) == 0 && j.held;

	journal_free(&j);
	envelope_free(&e);
	buf_free(&text);
	buf_free(&log);
	return held;
}

static bool
is_there(struct spool *s, struct str id)
{
	struct spool_claim c;

	if (spool_peek(s, 'H', id, &c))
		return false;
	bool held = is_held(&c);
	spool_release(&c);
	return held;
}

/* Unless somebody does something with it just now. */
static void
remove_oldest(struct spool *s, struct str id)
{
	struct spool_claim c;

	if (spool_claim(s, 'H', id, &c) != SPOOL_OK)
		return;
	if (is_held(&c) && spool_remove(s, &c) == 0)
		log_warn("%.*s: removed: nobody takes it, and more than %d such are held",
			 STR_ARG(id), LIMIT_HELD);
	spool_release(&c);
}

/* Lets go of those that an operator has seen to. */
static void
forget_gone(struct held *h, struct spool *s)
{
	size_t kept = 0;

	for (size_t n = 0; n < h->count; n++)
		if (is_there(s, (struct str){h->ids[n], SPOOL_ID}))
			memmove(h->ids[kept++], h->ids[n], SPOOL_ID);
	h->count = kept;
}

static void
add(struct held *h, struct spool *s, struct str id)
{
	size_t at = 0;

	while (at < h->count && memcmp(h->ids[at], id.ptr, SPOOL_ID) < 0)
		at++;
	if (at < h->count && memcmp(h->ids[at], id.ptr, SPOOL_ID) == 0)
		return;
	if (h->count < LIMIT_HELD) {
		memmove(h->ids[at + 1], h->ids[at], (h->count++ - at) * SPOOL_ID);
		memcpy(h->ids[at], id.ptr, SPOOL_ID);
	} else if (at == 0) {
		remove_oldest(s, id);
	} else {
		remove_oldest(s, (struct str){h->ids[0], SPOOL_ID});
		memmove(h->ids[0], h->ids[1], --at * SPOOL_ID);
		memcpy(h->ids[at], id.ptr, SPOOL_ID);
	}
}

struct search {
	struct held *held;
	struct spool *spool;
};

static void
look(void *ctx, char state, struct str id)
{
	const struct search *s = ctx;

	if (state == 'H' && is_there(s->spool, id))
		add(s->held, s->spool, id);
}

void
held_add(struct held *h, struct spool *s, struct str id)
{
	struct search search = {h, s};

	if (!h->known)
		h->known = spool_walk(s, look, &search) == 0;
	else if (h->count == LIMIT_HELD)
		forget_gone(h, s);
	add(h, s, id);
}
