/* SPDX-License-Identifier: ISC */
/* For tests with a configuration: what conf says of it fails the test. */
#ifndef COMPLAIN_H
#define COMPLAIN_H

#include "conf.h"

static void
complain(void *ctx, enum conf_severity severity, const char *source, unsigned line,
	 const char *what)
{
	(void)ctx;
	(void)severity;
	fail_msg("%s:%u: %s", source, line, what);
}

#endif
