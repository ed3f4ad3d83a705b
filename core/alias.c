/* SPDX-License-Identifier: ISC */
#include "alias.h"
#include "limit.h"

#include <stdlib.h>
#include <string.h>

/* Blank, or a comment. */
static bool
is_idle(struct str line)
{
	struct str s = str_trim(line);

	return s.len == 0 || s.ptr[0] == '#';
}

static bool
continues(struct str line)
{
	return str_is_blank(line.ptr[0]) || is_idle(line);
}

static struct str
first_line(struct str text)
{
	return str_upto(text, str_find(text, '\n'));
}

/* Index of the first c outside quotes, or s.len. */
static size_t
find_bare(struct str s, char c)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			quoted = !quoted;
		else if (s.ptr[i] == c && !quoted)
			return i;
	}
	return s.len;
}

/* The targets of an entry, one after the other. */
struct targets {
	struct str line, rest; /* what is left of this line; the lines behind it */
	unsigned number;       /* of this line */
};

static struct targets
targets_of(const struct alias_entry *e)
{
	return (struct targets){.rest = e->targets, .number = e->line - 1};
}

/* Takes the next target, which a comma or its line ends. False: there is none. */
static bool
next_target(struct targets *t, struct str *target)
{
	do {
		while (t->line.len == 0 && t->rest.len > 0) {
			t->line = str_cut(&t->rest, '\n');
			t->number++;
			if (is_idle(t->line))
				t->line.len = 0;
		}
		if (t->line.len == 0)
			return false;
		size_t n = find_bare(t->line, ',');
		*target = str_trim(str_upto(t->line, n));
		t->line = str_from(t->line, n + 1);
	} while (target->len == 0);
	return true;
}

/* Reads a target's canonical address into *address. *final: "\user". 0; -1 with *why in
 * words: it cannot be used. */
static int
read_target(struct str target, struct buf *address, bool *final, const char **why)
{
	struct str bare = str_from(target, target.ptr[0] == '"');

	if (str_starts(bare, STR("|")) || str_starts(bare, STR("/")) ||
	    str_istarts(bare, STR(":include:"))) {
		*why = "not delivered yet, mail for it waits";
		return -1;
	}
	*final = target.ptr[0] == '\\';
	address->len = 0;
	return addr_parse(str_from(target, *final), address, why);
}

struct parser {
	struct alias_file *file;
	alias_complain *complain;
	void *ctx;
};

static void
complain(struct parser *p, unsigned line, const char *what, struct str piece)
{
	p->file->errors++;
	p->complain(p->ctx, line, what, piece);
}

/* The number of targets; complains of those that hold the entry. */
static size_t
check_targets(struct parser *p, const struct alias_entry *e)
{
	struct targets t = targets_of(e);
	struct buf address = {0};
	struct str target;
	const char *why;
	size_t count = 0;
	bool final;

	for (; next_target(&t, &target); count++)
		if (read_target(target, &address, &final, &why))
			complain(p, t.number, why, target);
	buf_free(&address);
	return count;
}

static void
add_entry(struct alias_file *file, const struct alias_entry *e, size_t targets)
{
	if (file->count == file->cap) {
		file->cap = file->cap ? file->cap * 2 : 16;
		file->entries = buf_array(file->entries, file->cap, sizeof *file->entries);
	}
	file->entries[file->count++] = *e;
	file->targets += targets;
	addr_set_add(&file->names, e->name);
}

/* An entry with the lines that continue it. */
static void
parse_record(struct parser *p, struct str record, unsigned number)
{
	struct str line = first_line(record);
	size_t colon = find_bare(line, ':');
	struct alias_entry e = {
		.name = str_trim(str_upto(line, colon)),
		.targets = str_from(record, colon + 1),
		.line = number,
	};

	if (e.name.len > 1 && e.name.ptr[0] == '"' && e.name.ptr[e.name.len - 1] == '"')
		e.name = str_upto(str_from(e.name, 1), e.name.len - 2);
	if (str_is_blank(line.ptr[0])) {
		complain(p, number, "nothing that this line could continue", str_trim(line));
	} else if (colon == line.len) {
		complain(p, number, line.ptr[0] == '"' ? "a quote without its end, or no colon"
						       : "no colon", str_trim(line));
	} else if (e.name.len == 0) {
		complain(p, number, "no name", str_trim(line));
	} else if (addr_set_find(&p->file->names, e.name) < p->file->count) {
		complain(p, number, "defined before, which counts", e.name);
	} else {
		size_t targets = check_targets(p, &e);
		if (targets > 0)
			add_entry(p->file, &e, targets);
		else
			complain(p, number, "no targets", e.name);
	}
}

void
alias_parse(struct alias_file *file, struct str text, alias_complain *tell, void *ctx)
{
	struct parser p = {file, tell, ctx};
	unsigned number = 1;

	*file = (struct alias_file){0};
	while (text.len > 0) {
		struct str record = text;
		unsigned lines = 0;
		bool idle = is_idle(first_line(text));
		do {
			str_cut(&text, '\n');
			lines++;
		} while (!idle && text.len > 0 && continues(first_line(text)));
		record = str_upto(record, record.len - text.len);
		if (!idle)
			parse_record(&p, record, number);
		number += lines;
	}
}

void
alias_free(struct alias_file *file)
{
	free(file->entries);
	addr_set_free(&file->names);
	*file = (struct alias_file){0};
}

/* The entry that a local user's mail goes by, or file->count. */
static size_t
find_entry(const struct alias_file *file, struct str user)
{
	size_t i = addr_set_find(&file->names, user);

	if (i == file->count)
		i = addr_set_find(&file->names, str_upto(user, str_find(user, '+')));
	if (i == file->count)
		i = addr_set_find(&file->names, STR("*"));
	return i;
}

/* An entry: not met yet, on the way to the target at hand, expanded. */
enum { NEW, OPEN, DONE };

struct walk {
	const struct alias_file *file;
	bool (*is_local)(void *ctx, struct str domain);
	void *ctx;
	struct addr_set found;
	struct buf address, user;
	char *state; /* of each entry */
};

/* What a target stands for: *address, and the *entry to expand instead, or file->count. 0,
 * or -1: it cannot be used. */
static int
resolve(struct walk *w, struct str target, struct str *address, size_t *entry)
{
	const char *why;
	bool final;

	*entry = w->file->count;
	if (read_target(target, &w->address, &final, &why))
		return -1;
	*address = buf_view(&w->address);
	struct str domain = addr_domain(*address);
	if (domain.len > 0 && !w->is_local(w->ctx, domain))
		return 0;
	*address = addr_local(*address);
	w->user.len = 0;
	addr_print_user(*address, &w->user);
	if (!final)
		*entry = find_entry(w->file, buf_view(&w->user));
	return 0;
}

/* Every entry is expanded once, whatever the file looks like. */
static enum alias_result
expand(struct walk *w, size_t index, unsigned depth)
{
	struct targets t = targets_of(&w->file->entries[index]);
	struct str target, address;
	size_t next;

	if (depth > LIMIT_ALIAS_DEPTH)
		return ALIAS_TOO_MANY;
	w->state[index] = OPEN;
	while (next_target(&t, &target)) {
		enum alias_result result = ALIAS_EXPANDED;
		if (resolve(w, target, &address, &next))
			return ALIAS_HELD;
		if (next == w->file->count || w->state[next] == OPEN)
			addr_set_add(&w->found, address);
		else if (w->state[next] == NEW)
			result = expand(w, next, depth + 1);
		if (w->found.count > LIMIT_ALIAS_FANOUT)
			result = ALIAS_TOO_MANY;
		if (result != ALIAS_EXPANDED)
			return result;
	}
	w->state[index] = DONE;
	return ALIAS_EXPANDED;
}

enum alias_result
alias_expand(const struct alias_file *file, struct str name,
	     bool (*is_local)(void *ctx, struct str domain), void *ctx, struct addr_set *out)
{
	size_t index = find_entry(file, name);

	if (index == file->count)
		return ALIAS_NONE;
	struct walk w = {.file = file, .is_local = is_local, .ctx = ctx};
	w.state = buf_array(NULL, file->count, 1);
	memset(w.state, NEW, file->count);
	enum alias_result result = expand(&w, index, 0);
	for (size_t i = 0; result == ALIAS_EXPANDED && i < w.found.count; i++)
		addr_set_add(out, addr_set_get(&w.found, i));
	addr_set_free(&w.found);
	buf_free(&w.address);
	buf_free(&w.user);
	free(w.state);
	return result;
}
