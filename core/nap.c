/* SPDX-License-Identifier: ISC */
#include "nap.h"

#include <poll.h>
#include <stddef.h>

void
nap(int ms)
{
	poll(NULL, 0, ms);
}

void
nap_longer(int *ms)
{
	nap(*ms);
	*ms = *ms < 200 ? *ms * 2 : 250;
}
