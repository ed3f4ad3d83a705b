/* SPDX-License-Identifier: ISC */
/*
 * The grammar of sendmail's command line: bundled letters, attached and separate values, "--",
 * options behind operands. The C library's getopt is not used: musl's does not permute.
 */
#ifndef ARGS_H
#define ARGS_H

#include "str.h"

struct args {
	char **argv; /* of main, ends with NULL */
	int at;      /* next argument */
	const char *bundle; /* rest of a bundle of letters, or NULL */
	bool only_operands; /* "--" was there */
};

enum { ARGS_END = -1, ARGS_OPERAND = 0, ARGS_UNKNOWN = '?', ARGS_MISSING = ':' };

void args_init(struct args *a, char **argv);

/* The next option's letter, with *value set where the grammar gives it one; ARGS_OPERAND with
 * the operand in *value; ARGS_UNKNOWN or ARGS_MISSING (its value is missing) with the letter
 * as a text in *value; ARGS_END. grammar: letters, each followed by ':' where it takes a
 * value (attached, else the next argument), by ';' where only an attached one counts. A
 * "--word" comes as ARGS_UNKNOWN with "-word". */
int args_next(struct args *a, const char *grammar, const char **value);

#endif
