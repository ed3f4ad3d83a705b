/* SPDX-License-Identifier: ISC */
/*
 * The applets: one function each, called with main's arguments. applets.def lists them.
 */
#ifndef APPLETS_H
#define APPLETS_H

#define APPLET(name, help) int name##_main(int argc, char **argv);
#include "applets.def"
#undef APPLET

struct site;
struct site_options;

/* sendmail -bp: mailq without arguments. */
int mailq_list(const struct site_options *options);
/* sendmail -qI, -qR, -qS: mailq -i. */
int mailq_urge(struct site *site, const char *const wanted[3]);

#endif
