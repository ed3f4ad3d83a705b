/* SPDX-License-Identifier: ISC */
/* What trust says of chains: for chains.py, which writes to our standard input, for each,
 * "HOST BUNDLE LENGTH...\n" and as many bytes for each certificate. Prints a line for each:
 * "ok", or the words of the refusal. */
#include "trust.h"
#include "fmt.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
feed(struct trust *t, char *lengths)
{
	static unsigned char der[1 << 16];

	t->vtable->start_chain(&t->vtable, NULL);
	for (char *word = strtok(lengths, " "); word; word = strtok(NULL, " ")) {
		size_t len = strtoul(word, NULL, 10);
		if (len > sizeof der || fread(der, 1, len, stdin) != len)
			exit(65);
		t->vtable->start_cert(&t->vtable, (uint32_t)len);
		t->vtable->append(&t->vtable, der, len);
		t->vtable->end_cert(&t->vtable);
	}
	bool passed = t->vtable->end_chain(&t->vtable) == 0;
	if (passed != t->verified || passed != (t->why.text[0] == '\0'))
		exit(70);
}

int
main(void)
{
	struct trust_config config = {
		.verify = true,
		.ca_name = "ca.pem",
		.clock = CONF_CLOCK_STRICT,
		.now = {.wall = 1750000000, .believable = true},
	};
	char line[1000], host[300], bundle[300];
	int at;

	while (fgets(line, sizeof line, stdin)) {
		struct trust trust;
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%299s %299s %n", host, bundle, &at) != 2)
			return 64;
		config.ca = open(bundle, O_RDONLY | O_CLOEXEC);
		if (config.ca < 0)
			return 66;
		trust_init(&trust, &config);
		trust_expect(&trust, str_of(host));
		feed(&trust, line + at);
		puts(trust.verified ? "ok" : trust.why.text);
		trust_free(&trust);
		close(config.ca);
	}
	return 0;
}
