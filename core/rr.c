/* SPDX-License-Identifier: ISC */
#include "rr.h"

#include <string.h>

enum {
	HEADER = 12,
	NAME_TEXT = 253,     /* 255 on the wire, RFC 1035 2.3.4 */
	LABEL = 63,
	CLASS_INTERNET = 1,
	TYPE_OPT = 41,
	CODE_NO_NAME = 3,
	ALIASES = 8,         /* followed within one answer */
};

static unsigned
get8(struct str msg, size_t at)
{
	return (unsigned char)msg.ptr[at];
}

static unsigned
get16(struct str msg, size_t at)
{
	return get8(msg, at) << 8 | get8(msg, at + 1);
}

static size_t
put16(unsigned char *dst, unsigned value)
{
	dst[0] = (unsigned char)(value >> 8);
	dst[1] = (unsigned char)value;
	return 2;
}

static bool
fits_name(char c)
{
	return c > ' ' && c < 0x7f;
}

int
rr_name(struct str text, char name[RR_NAME])
{
	size_t label = 0;

	if (text.len > 0 && text.ptr[text.len - 1] == '.')
		text.len--;
	if (text.len > NAME_TEXT)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (!fits_name(c) || (c == '.' ? label == 0 : label == LABEL))
			return -1;
		label = c == '.' ? 0 : label + 1;
		name[i] = str_lower(c);
	}
	name[text.len] = '\0';
	return label > 0 ? 0 : -1;
}

size_t
rr_query(unsigned char query[RR_QUERY], uint16_t id, const char *name, enum rr_type type,
	 bool edns)
{
	struct str rest = str_of(name);
	size_t n = HEADER;

	memset(query, 0, RR_QUERY);
	put16(query, id);
	query[2] = 1; /* recursion desired */
	query[5] = 1; /* one question */
	while (rest.len > 0) {
		struct str label = str_cut(&rest, '.');
		query[n++] = (unsigned char)label.len;
		memcpy(query + n, label.ptr, label.len);
		n += label.len;
	}
	n++;
	n += put16(query + n, type);
	n += put16(query + n, CLASS_INTERNET);
	if (edns) {
		query[11] = 1; /* one additional record: the root's OPT, without data */
		put16(query + n + 1, TYPE_OPT);
		put16(query + n + 3, RR_DATAGRAM);
		n += 11;
	}
	return n;
}

/* Reads the name at *pos and moves behind it. Each pointer must lead before all that was read
 * of this name, so there is an end to them. */
static bool
read_name(struct str msg, size_t *pos, char name[RR_NAME])
{
	size_t at = *pos, start = at, len = 0;
	bool moved = false;

	for (;;) {
		if (at >= msg.len)
			return false;
		size_t n = get8(msg, at++);
		if (!moved)
			*pos = at + (n > LABEL ? 1 : n);
		if (n >= 0xc0) {
			if (at >= msg.len)
				return false;
			at = (n & 0x3f) << 8 | get8(msg, at);
			if (at >= start)
				return false;
			start = at;
			moved = true;
			continue;
		}
		if (n == 0)
			break;
		if (n > LABEL || n > msg.len - at || len + (len > 0) + n > NAME_TEXT)
			return false;
		if (len > 0)
			name[len++] = '.';
		for (; n > 0; n--, at++) {
			char c = msg.ptr[at];
			name[len++] = fits_name(c) && c != '.' ? str_lower(c) : '?';
		}
	}
	name[len] = '\0';
	return true;
}

/* The record's data, which must fill [at, end). */
static bool
read_data(struct str msg, size_t at, size_t end, struct rr *record)
{
	size_t len = end - at;

	record->address = str_upto(str_from(msg, at), len);
	if (record->type == RR_A || record->type == RR_AAAA)
		return len == (record->type == RR_A ? 4 : 16);
	if (record->type == RR_MX) {
		if (len < 2)
			return false;
		record->preference = (unsigned short)get16(msg, at);
		at += 2;
	} else if (record->type != RR_CNAME) {
		return true;
	}
	return read_name(msg, &at, record->host) && at == end;
}

static int
read_record(struct str msg, size_t *pos, struct rr *record)
{
	if (!read_name(msg, pos, record->owner) || *pos > msg.len || msg.len - *pos < 10)
		return -1;
	bool ours = get16(msg, *pos + 2) == CLASS_INTERNET;
	size_t len = get16(msg, *pos + 8), data = *pos + 10;
	record->type = ours ? get16(msg, *pos) : 0;
	if (len > msg.len - data || !read_data(msg, data, data + len, record))
		return -1;
	*pos = data + len;
	return 1;
}

/* Where the question that starts behind the header ends. */
static size_t
question_end(struct str msg)
{
	char name[RR_NAME];
	size_t pos = HEADER;

	return read_name(msg, &pos, name) ? pos + 4 : msg.len;
}

struct rr_walk
rr_start(struct str answer)
{
	return (struct rr_walk){answer, question_end(answer), get16(answer, 6)};
}

int
rr_next(struct rr_walk *w, struct rr *record)
{
	if (w->left == 0)
		return 0;
	w->left--;
	return read_record(w->answer, &w->pos, record);
}

static bool
is_answer_to(struct str answer, struct str query)
{
	if (answer.len < HEADER || get16(answer, 0) != get16(query, 0))
		return false;
	/* A response (QR), to a plain query (opcode 0), with one question: ours. Lengths in
	 * a name are below 64 and no letters, so they compare like the rest. */
	size_t len = question_end(query) - HEADER;
	return (get8(answer, 2) & 0xf8) == 0x80 && get16(answer, 4) == 1 &&
	       answer.len - HEADER >= len &&
	       str_ieq(str_upto(str_from(answer, HEADER), len),
		       str_upto(str_from(query, HEADER), len));
}

enum rr_fate
rr_judge(struct str answer, struct str query)
{
	struct rr record;
	int more;

	if (!is_answer_to(answer, query))
		return RR_SILENT;
	unsigned flags = get16(answer, 2), code = flags & 15;
	bool truncated = flags & 0x200, knows = flags & (0x400 | 0x80); /* AA, RA */
	if (truncated)
		return RR_TRUNCATED;
	if (code != 0)
		return code == CODE_NO_NAME ? RR_NO_NAME : RR_FAILED;
	struct rr_walk w = rr_start(answer);
	if (w.left == 0 && !knows)
		return RR_FAILED;
	do
		more = rr_next(&w, &record);
	while (more > 0);
	return more == 0 ? RR_ANSWER : RR_FAILED;
}

bool
rr_find(struct rr_walk *w, const char *name, enum rr_type type, struct rr *record)
{
	while (rr_next(w, record) > 0)
		if (record->type == type && strcmp(record->owner, name) == 0)
			return true;
	return false;
}

bool
rr_follow(struct str answer, char name[RR_NAME])
{
	struct rr alias;
	unsigned steps = 0;

	for (; steps < ALIASES; steps++) {
		struct rr_walk w = rr_start(answer);
		if (!rr_find(&w, name, RR_CNAME, &alias))
			break;
		memcpy(name, alias.host, RR_NAME);
	}
	return steps > 0;
}
