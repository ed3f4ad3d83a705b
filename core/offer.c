/* SPDX-License-Identifier: ISC */
#include "offer.h"
#include "fmt.h"

#include <string.h>

/* There may be two lists: "AUTH LOGIN PLAIN" and, as was usual once, "AUTH=LOGIN". */
static void
add_mechanisms(struct offer *o, struct str names)
{
	size_t len = strlen(o->mechanisms), room = sizeof o->mechanisms - len;

	/* All or nothing: a part of a name could be another's. */
	if (names.len + 1 < room)
		fmt_print(o->mechanisms + len, room, "%s%.*s", len ? " " : "",
			  STR_ARG(names));
}

void
offer_add(struct offer *o, struct str words)
{
	static const struct {
		char keyword[12];
		unsigned flag;
	} known[] = {
		{"PIPELINING", OFFER_PIPELINING},
		{"SIZE", OFFER_SIZE},
		{"8BITMIME", OFFER_8BITMIME},
		{"STARTTLS", OFFER_STARTTLS},
		{"DSN", OFFER_DSN},
		{"SMTPUTF8", OFFER_SMTPUTF8},
		{"BURL", OFFER_BURL},
		{"CHUNKING", OFFER_CHUNKING},
	};

	if (str_istarts(words, STR("AUTH ")) || str_istarts(words, STR("AUTH=")))
		add_mechanisms(o, str_trim(str_from(words, 5)));
	words = str_trim(words);
	struct str keyword = str_cut(&words, ' ');
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!str_is(keyword, known[i].keyword))
			continue;
		o->flags |= known[i].flag;
		/* Without a number there is no limit that we could know. */
		if (known[i].flag == OFFER_SIZE)
			str_number(words, UINT64_MAX, &o->size_limit);
	}
}
