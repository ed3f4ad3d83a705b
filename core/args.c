/* SPDX-License-Identifier: ISC */
#include "args.h"

#include <string.h>

void
args_init(struct args *a, char **argv)
{
	*a = (struct args){.argv = argv, .at = argv[0] != NULL};
}

/* A value that may be attached, or stand in the next argument. */
static int
take_value(struct args *a, const char *spec, const char *letter, const char **value)
{
	*value = *a->bundle ? a->bundle : NULL;
	a->bundle = NULL;
	if (*value || spec[1] == ';') {
		*value = *value ? *value : "";
		return (unsigned char)*spec;
	}
	if (!a->argv[a->at]) {
		*value = letter;
		return ARGS_MISSING;
	}
	*value = a->argv[a->at++];
	return (unsigned char)*spec;
}

static int
next_letter(struct args *a, const char *grammar, const char **value)
{
	const char *letter = a->bundle++;
	const char *spec = *letter == ':' || *letter == ';' ? NULL : strchr(grammar, *letter);

	if (!spec) {
		*value = letter;
		a->bundle = NULL;
		return ARGS_UNKNOWN;
	}
	if (spec[1] == ':' || spec[1] == ';')
		return take_value(a, spec, letter, value);
	if (!*a->bundle)
		a->bundle = NULL;
	*value = NULL;
	return (unsigned char)*spec;
}

int
args_next(struct args *a, const char *grammar, const char **value)
{
	if (a->bundle)
		return next_letter(a, grammar, value);
	const char *arg = a->argv[a->at];
	if (!arg)
		return ARGS_END;
	a->at++;
	if (a->only_operands || arg[0] != '-' || !arg[1]) {
		*value = arg;
		return ARGS_OPERAND;
	}
	if (strcmp(arg, "--") == 0) {
		a->only_operands = true;
		return args_next(a, grammar, value);
	}
	if (arg[1] == '-') {
		*value = arg + 1;
		return ARGS_UNKNOWN;
	}
	a->bundle = arg + 1;
	return next_letter(a, grammar, value);
}
