/* SPDX-License-Identifier: ISC */
/* Doing nothing for a while. A signal that is caught ends it early. */
#ifndef NAP_H
#define NAP_H

#include <poll.h>

void nap(int ms);

/* Naps for *ms, which becomes twice as long for the next time, up to a quarter second. */
void nap_longer(int *ms);

/* poll, for a long sleep: gives memory back that need not be kept meanwhile. The program's code
 * is in its file, and below the caller's frame the stack holds nothing. */
int nap_poll(struct pollfd *fds, nfds_t count, int ms) __attribute__((noinline));

#endif
