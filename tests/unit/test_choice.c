/* SPDX-License-Identifier: ISC */
#include "choice.h"
#include "codec.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { MANY = 33000 }; /* more than two looks at the directory */

static char path[] = "/tmp/test_choice.XXXXXX";
static struct spool spool;

static void
remove_name(void *ctx, struct str name)
{
	(void)ctx;
	if (name.ptr[0] != '.')
		unlinkat(spool.dir, name.ptr, 0);
}

static int
set_up(void **state)
{
	struct conf c = {.spooldir = path};
	struct buf why = {0};

	(void)state;
	strcpy(path + sizeof path - 7, "XXXXXX");
	assert_non_null(mkdtemp(path));
	assert_int_equal(spool_open(&spool, &c, &why), 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	file_walk(spool.dir, remove_name, NULL);
	spool_close(&spool);
	return rmdir(path);
}

static void
make_name(char name[SPOOL_ID + 2], char state, unsigned number)
{
	name[0] = state;
	codec_base32(number, SPOOL_ID, name + 1);
	name[SPOOL_ID + 1] = '\0';
}

static void
put(char state, unsigned number)
{
	char name[SPOOL_ID + 2];

	make_name(name, state, number);
	int fd = file_create(spool.dir, name, 0600);
	assert_true(fd >= 0);
	close(fd);
}

struct seen {
	unsigned next, step;
	char states[4];   /* in turn */
	char to;          /* each is renamed to this state, or with '-' removed */
};

/* Expects numbers in their order. */
static void
look(void *ctx, char state, struct str id)
{
	struct seen *s = ctx;
	char name[SPOOL_ID + 2], to[SPOOL_ID + 2];

	make_name(name, s->states[s->next % strlen(s->states)], s->next);
	assert_int_equal(state, name[0]);
	assert_memory_equal(id.ptr, name + 1, SPOOL_ID);
	assert_int_equal(id.len, SPOOL_ID);
	make_name(to, s->to, s->next);
	if (s->to == '-')
		assert_int_equal(unlinkat(spool.dir, name, 0), 0);
	else if (s->to)
		assert_int_equal(file_rename_new(spool.dir, name, spool.dir, to), 0);
	s->next += s->step;
}

static void
test_empty(void **state)
{
	struct choice c = {.states = "QHC"};
	struct seen s = {0};

	(void)state;
	assert_int_equal(choice_walk(&c, &spool, look, &s), 0);
	assert_int_equal(s.next, 0);
}

/* Created in another order than that of their ids; all are visited in that one, once. */
static void
test_many_in_order(void **state)
{
	struct choice c = {.states = "QHC"};
	struct seen s = {.step = 1, .states = "QHC"};

	(void)state;
	for (unsigned n = 0; n < MANY; n++) {
		unsigned number = n * 7919 % MANY;
		put("QHC"[number % 3], number);
	}
	put('T', 5);
	assert_int_equal(choice_walk(&c, &spool, look, &s), 0);
	assert_int_equal(s.next, MANY);

	c.states = "H";
	s = (struct seen){.next = 1, .step = 3, .states = "QHC"};
	assert_int_equal(choice_walk(&c, &spool, look, &s), 0);
	assert_int_equal(s.next, MANY + 1);
}

/* Renamed to a state that is chosen, too; removed. */
static void
test_removed_and_renamed_meanwhile(void **state)
{
	struct choice c = {.states = "QH"};
	struct seen s = {.step = 1, .states = "Q", .to = 'H'};

	(void)state;
	for (unsigned n = MANY; n-- > 0;)
		put('Q', n);
	assert_int_equal(choice_walk(&c, &spool, look, &s), 0);
	assert_int_equal(s.next, MANY);
	s = (struct seen){.step = 1, .states = "H", .to = '-'};
	assert_int_equal(choice_walk(&c, &spool, look, &s), 0);
	assert_int_equal(s.next, MANY);
	s.next = 0;
	assert_int_equal(choice_walk(&c, &spool, look, &s), 0);
	assert_int_equal(s.next, 0);
}

static void
note(void *ctx, char state, struct str id)
{
	struct buf *seen = ctx;

	buf_print(seen, "%c%.*s ", state ? state : '-', STR_ARG(id));
}

static void
test_ids_as_they_are_named(void **state)
{
	static const char *const ids[] = {
		"0000000000000002", "x", "0000000000000001", "../0000000000000", "0000000000000003",
		"",
	};
	struct choice c = {.states = "Q", .ids = ids, .id_count = 6};
	struct buf seen = {0};

	(void)state;
	put('Q', 1);
	put('C', 2);
	assert_int_equal(choice_walk(&c, &spool, note, &seen), 0);
	assert_string_equal(buf_cstr(&seen), "C0000000000000002 -x Q0000000000000001 "
			    "-../0000000000000 -0000000000000003 - ");
	buf_free(&seen);
}

static void
test_directory_that_cannot_be_read(void **state)
{
	struct choice c = {.states = "Q"};
	struct spool nowhere = {.dir = -1};
	struct seen s = {0};

	(void)state;
	assert_int_equal(choice_walk(&c, &nowhere, look, &s), -1);
	assert_int_equal(errno, EBADF);
}

static void
test_fits(void **state)
{
	struct journal_rcpt rcpts[] = {
		{.address = STR("Joe@x.example")},
		{.address = STR("ann@y.example"), .fate = JOURNAL_SENT},
		{.address = STR("tom@z.example"), .fate = JOURNAL_FAILED},
		{.address = STR("jim@w.example"), .fate = JOURNAL_FAILED, .reported = true},
	};
	struct journal j = {.rcpts = rcpts, .count = 4};
	struct envelope e = {.sender = STR("Bob@far.example")};
	static const struct {
		const char *sender, *recipient;
		bool fits;
	} cases[] = {
		{"", "", true}, {"bob", "", true}, {"OB@FAR", "", true}, {"bobb", "", false},
		{"Bob@far.example.", "", false}, {"joe", "", false},
		{"", "JOE@X", true}, {"", "example", true}, {"", "tom", true},
		{"", "ann", false}, {"", "jim", false}, {"", "bob", false},
		{"bob", "joe", true}, {"bob", "ann", false}, {"ann", "joe", false},
	};

	(void)state;
	for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
		struct choice c = {.sender = str_of(cases[n].sender),
				   .recipient = str_of(cases[n].recipient)};
		assert_int_equal(choice_fits(&c, &e, &j), cases[n].fits);
		assert_int_equal(choice_is_narrow(&c), n > 0);
	}
	e.sender = STR("");
	assert_true(choice_fits(&(struct choice){0}, &e, &j));
	assert_false(choice_fits(&(struct choice){.sender = STR("a")}, &e, &j));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removed_and_renamed_meanwhile, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_ids_as_they_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_directory_that_cannot_be_read, set_up,
						tear_down),
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
