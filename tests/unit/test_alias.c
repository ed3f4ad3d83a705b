/* SPDX-License-Identifier: ISC */
#include "alias.h"
#include "limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void
note_complaint(void *ctx, unsigned line, const char *what, struct str piece)
{
	assert_true(what && *what);
	buf_print(ctx, "%u:%.*s ", line, STR_ARG(piece));
}

static bool
is_local(void *ctx, struct str domain)
{
	assert_null(ctx);
	return str_ieq(domain, STR("localhost")) || str_ieq(domain, STR("box.example"));
}

/* What name becomes, a blank behind each; "held", "many" or "none" where that is the result. */
static const char *
expand(const struct alias_file *file, const char *name, struct buf *text)
{
	static const char *const words[] = {
		[ALIAS_NONE] = "none", [ALIAS_HELD] = "held", [ALIAS_TOO_MANY] = "many",
	};
	struct addr_set out = {0};
	enum alias_result r = alias_expand(file, str_of(name), is_local, NULL, &out);

	text->len = 0;
	for (size_t i = 0; i < out.count; i++)
		buf_print(text, "%.*s ", STR_ARG(addr_set_get(&out, i)));
	if (r == ALIAS_EXPANDED) {
		assert_true(out.count > 0);
	} else {
		assert_int_equal(out.count, 0);
		buf_puts(text, words[r]);
	}
	addr_set_free(&out);
	return buf_cstr(text);
}

/* A file, the lines complained of, then names and what they become. */
static const struct {
	const char *text, *complaints;
	size_t count, targets;
	struct {
		const char *name, *out;
	} names[6];
} files[] = {
	{"", "", 0, 0, {{"joe", "none"}}},
	{"# nothing\n\n  \n\t# here\n", "", 0, 0, {{"joe", "none"}}},
	{"root: joe, ann@x.example\n", "", 1, 2,
	 {{"root", "joe ann@x.example "}, {"ROOT", "joe ann@x.example "}, {"joe", "none"}}},
	{"root : joe", "", 1, 1, {{"root", "joe "}}},
	{"a: b\r\n\r\nc: d,\r\n e\r\n", "", 2, 3, {{"a", "b "}, {"c", "d e "}}},
	/* Continuation, over comments and empty lines as well. */
	{"a:\n b,\n# note, that\n\n\t\n  # and this\n\tc\n d,,e\nf: g\n", "", 2, 5,
	 {{"a", "b c d e "}, {"f", "g "}}},
	{"# top\n b\na: c\n", "2:b ", 1, 1, {{"a", "c "}}},
	/* Quotes. */
	{"\"a: b\": \"c, d\"@x, \"e f\", Joe X <g@h>\n\"j\": k", "", 2, 4,
	 {{"a: b", "\"c, d\"@x \"e f\" g@h "}, {"j", "k "}}},
	/* Chains, local domains, loops. */
	{"a: b@localhost, c@Box.Example, d@x\nb: e\nc: f@x, d@X\n", "", 3, 6,
	 {{"a", "e f@x d@X "}, {"b", "e "}, {"c", "f@x d@X "}}},
	{"root: root, x@y\n", "", 1, 2, {{"root", "root x@y "}, {"Root", "root x@y "}}},
	{"root: \\root, x@y\n", "", 1, 2, {{"root", "root x@y "}}},
	{"a: b\nb: a\n", "", 2, 2, {{"a", "a "}, {"b", "b "}}},
	{"a: b, c\nb: c\nc: b, z\n", "", 3, 5, {{"a", "b z "}, {"c", "c z "}}},
	{"a: \\b, \\c@localhost, \\d@x\nb: no\nc: no\n", "", 3, 5, {{"a", "b c d@x "}}},
	{"a: b, b, c, B\nb: d\nc: d\n", "", 3, 6, {{"a", "d "}}},
	/* Details. */
	{"joe: ann\njoe+x: eve\n", "", 2, 2,
	 {{"joe+y", "ann "}, {"joe+x", "eve "}, {"JOE+X+y", "ann "}, {"+joe", "none"}, {"bob+joe", "none"}}},
	{"a: b+c, d+e\nd: d+f, x@y\n", "", 2, 4, {{"a", "b+c d+f x@y "}}},
	/* Catch-all. */
	{"*: adm@x\nroot: joe\nann: ann\nbob: \\bob\neve: ann, y@z\n", "", 5, 6,
	 {{"who", "adm@x "}, {"root", "adm@x "}, {"ann", "ann "}, {"bob", "bob "}, {"eve", "ann y@z "}}},
	{"*: joe, x@y\n", "", 1, 2, {{"joe", "joe x@y "}, {"ann", "joe x@y "}, {"ann+b", "joe x@y "}}},
	{"*: root\nroot: me@x\n", "", 2, 2, {{"ann", "me@x "}, {"root", "me@x "}}},
	/* What is wrong. */
	{"no colon\na: b\n\"x: y\n: z\n\"\": z\ne:\nf: ,\n # x\nlast: ok", "1:no colon 3:\"x: y 4:: z "
	 "5:\"\": z 6:e 7:f ", 2, 2, {{"a", "b "}, {"e", "none"}, {"f", "none"}, {"last", "ok "}}},
	{"no colon\n a: b\nc: d\n", "1:no colon ", 1, 1, {{"c", "d "}, {"a", "none"}}},
	{"a: b\nA: c\n\"a\": d\n", "2:A 3:a ", 1, 1, {{"a", "b "}}},
	{"a: b, c d,\n e@,\n f\ng: a\nh: \"x, y\n", "1:c d 2:e@ 5:\"x, y ", 3, 6,
	 {{"a", "held"}, {"g", "held"}, {"h", "held"}}},
	{"a: |cmd\nb: \"|cmd x, y\", z\nc: /dev/null\nd: :include:/x\ne: \":Include:/y\"\nf: x, a\n",
	 "1:|cmd 2:\"|cmd x, y\" 3:/dev/null 4::include:/x 5:\":Include:/y\" ", 6, 8,
	 {{"a", "held"}, {"b", "held"}, {"c", "held"}, {"d", "held"}, {"e", "held"}, {"f", "held"}}},
	{"a: \\\nb: \\x y\n", "1:\\ 2:\\x y ", 2, 2, {{"a", "held"}, {"b", "held"}}},
};

static void
test_files(void **state)
{
	struct buf text = {0};

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct alias_file file;
		text.len = 0;
		alias_parse(&file, str_of(files[i].text), note_complaint, &text);
		assert_string_equal(buf_cstr(&text), files[i].complaints);
		assert_int_equal(file.errors > 0, text.len > 0);
		assert_int_equal(file.count, files[i].count);
		assert_int_equal(file.targets, files[i].targets);
		for (size_t n = 0; n < 6 && files[i].names[n].name; n++)
			assert_string_equal(expand(&file, files[i].names[n].name, &text),
					    files[i].names[n].out);
		alias_free(&file);
	}
	buf_free(&text);
}

static void
test_entries(void **state)
{
	struct alias_file file;
	struct buf text = {0};

	(void)state;
	alias_parse(&file, STR("# x\na: b\n\n\"c\":\n d\n"), note_complaint, &text);
	assert_int_equal(file.errors, 0);
	assert_int_equal(file.count, 2);
	assert_true(str_eq(file.entries[0].name, STR("a")));
	assert_int_equal(file.entries[0].line, 2);
	assert_true(str_eq(file.entries[1].name, STR("c")));
	assert_int_equal(file.entries[1].line, 4);
	alias_free(&file);
	buf_free(&text);
}

static void
test_bounds(void **state)
{
	struct alias_file file;
	struct buf text = {0}, out = {0};

	(void)state;
	for (int i = 0; i <= LIMIT_ALIAS_DEPTH + 1; i++)
		buf_print(&text, "n%d: n%d\n", i, i + 1);
	buf_puts(&text, "most:");
	for (int i = 0; i < LIMIT_ALIAS_FANOUT; i++)
		buf_print(&text, " u%d,", i);
	buf_puts(&text, "\nmore: one, most\n");
	alias_parse(&file, buf_view(&text), note_complaint, &out);
	assert_int_equal(file.errors, 0);
	assert_string_equal(expand(&file, "n0", &out), "many");
	assert_string_equal(expand(&file, "n1", &out), "n22 ");
	assert_string_equal(expand(&file, "more", &out), "many");
	assert_true(str_starts(str_of(expand(&file, "most", &out)), STR("u0 u1 ")));
	alias_free(&file);
	buf_free(&text);
	buf_free(&out);
}

/* Entries that double at each step, and a file with very many: linear all the same. */
static void
test_large(void **state)
{
	struct alias_file file;
	struct buf text = {0}, out = {0};
	clock_t start = clock();

	(void)state;
	for (int i = 0; i < 18; i++) {
		buf_print(&text, "d%d: ", i);
		for (int n = 0; n < 50; n++)
			buf_print(&text, "d%d+%d, ", i + 1, n);
		buf_puts(&text, "\n");
	}
	for (int i = 0; i < 50000; i++)
		buf_print(&text, "a%d: x\n", i);
	alias_parse(&file, buf_view(&text), note_complaint, &out);
	assert_int_equal(file.count, 50018);
	assert_string_equal(expand(&file, "a49999", &out), "x ");
	expand(&file, "d0", &out);
	assert_true(str_starts(buf_view(&out), STR("d18+0 d18+1 ")));
	assert_true(clock() - start < 10 * CLOCKS_PER_SEC);
	alias_free(&file);
	buf_free(&text);
	buf_free(&out);
}

/* Any bytes: every problem is told, nothing is read that is not there. */
static void
test_random(void **state)
{
	static const char bytes[] = "aabb:,\n\n #\"\\+*@|/";
	struct buf out = {0};
	char text[41];
	uint32_t x = 123456789u;

	(void)state;
	for (int round = 0; round < 30000; round++) {
		size_t len = (size_t)round % 40;
		for (size_t i = 0; i < len; i++) {
			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			text[i] = bytes[x % (sizeof bytes - 1)];
		}
		struct alias_file file;
		out.len = 0;
		alias_parse(&file, (struct str){text, len}, note_complaint, &out);
		assert_int_equal(file.errors > 0, out.len > 0);
		expand(&file, "a", &out);
		expand(&file, "b+a", &out);
		alias_free(&file);
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
