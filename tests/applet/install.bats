#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# One program under several names: its links, its dispatch, its help, what is installed where.
load helper

applets='deliver mailq newaliases sendmail'
top=$BATS_TEST_DIRNAME/../..

# --- names ----------------------------------------------------------------------------------

@test "mtabox APPLET, a path to one, and a link of that name are the same" {
	mkdir bin
	ln -s "$MTABOX" bin/mailq
	for command in "$MTABOX mailq" "$MTABOX /usr/bin/mailq" bin/mailq; do
		expect 0 $command -C "$conf"
		same "$(cat out)" 'Mail queue is empty'
	done
}

@test "messages are in the name by which it was called" {
	ln -s "$MTABOX" sendmail
	expect 64 ./sendmail -C "$conf" </dev/null
	says 'sendmail: '
	expect 64 "$MTABOX" sendmail -C "$conf" </dev/null
	says 'sendmail: '
	expect 64 "$MTABOX" deliver -C "$conf" </dev/null
	says 'deliver: '
}

@test "an unknown applet: 64, and where to look" {
	expect 64 "$MTABOX" frobnicate
	same "$(cat err)" "mtabox: no applet 'frobnicate' (mtabox --help lists them)"
	is_empty out
}

@test "a link of another name is mtabox" {
	ln -s "$MTABOX" other
	expect 0 ./other --version
	prints 'mtabox '
}

@test "no argument at all: the usage on standard error, 64" {
	expect 64 "$MTABOX"
	is_empty out
	for applet in $applets; do says "$applet"; done
}

# --- help -----------------------------------------------------------------------------------

@test "--help: on standard output, 0, for mtabox and each applet" {
	expect 0 "$MTABOX" --help
	is_empty err
	for applet in $applets; do prints "  $applet "; done
	for applet in $applets; do
		expect 0 "$MTABOX" "$applet" --help
		is_empty err
		same "$(head -n 1 out | cut -d' ' -f1,2)" "usage: $applet"
	done
}

@test "--help that cannot be written: an error" {
	[ -c /dev/full ] || skip 'no /dev/full'
	for applet in $applets; do ! "$MTABOX" "$applet" --help >/dev/full || fail "$applet is content"; done
	! "$MTABOX" --version >/dev/full || fail 'content'
}

@test "every option of the usage text is one" {
	for applet in mailq newaliases; do
		expect 0 "$MTABOX" "$applet" -C "$conf" -O retry_min=1m
	done
	expect 0 "$MTABOX" deliver -q -C "$conf" -O retry_min=1m -L tag -v
}

@test "mailq, deliver: what is not understood is 64, not ignored" {
	expect 64 mailq --frob
	says frob
	expect 64 mailq -k
	says k
	expect 64 deliver -q -Z
	says Z
	expect 64 deliver -q root
	expect 64 deliver
}

# --- links ----------------------------------------------------------------------------------

# linked DIR: all applets are there, and work.
linked() {
	same "$(ls "$1" | paste -sd' ')" "$applets"
	for applet in $applets; do expect 0 "$1/$applet" --help; done
	expect 0 "$1/mailq" -C "$conf"
	prints 'Mail queue is empty'
}

@test "--install DIR: hard links" {
	cp "$MTABOX" mtabox
	mkdir bin
	expect 0 ./mtabox --install bin
	silent
	linked bin
	same "$(stat -c %h mtabox)" 5
}

@test "--install -s DIR: symbolic links to the whole path" {
	cp "$MTABOX" mtabox
	mkdir bin
	expect 0 ./mtabox --install -s bin
	silent
	linked bin
	same "$(readlink bin/sendmail)" "$(realpath mtabox)"
}

@test "--install: in place of what is there, and again" {
	cp "$MTABOX" mtabox
	mkdir bin
	echo old >bin/sendmail
	ln -s nowhere bin/mailq
	for n in 1 2; do expect 0 ./mtabox --install bin; linked bin; done
	for n in 1 2; do expect 0 ./mtabox --install -s bin; linked bin; done
}

@test "--install: a directory that is not there is 73, a wrong call 64" {
	expect 73 "$MTABOX" --install "$S/none"
	says "$S/none"
	expect 64 "$MTABOX" --install
	expect 64 "$MTABOX" --install -s
	expect 64 "$MTABOX" --install a b
	touch file
	expect 73 "$MTABOX" --install "$S/file"
	same "$(ls -A | paste -sd' ')" 'conf err file mail out'
}

# --- make install ---------------------------------------------------------------------------

@test "scripts/install: the layout below DESTDIR and PREFIX" {
	[ -x "$top/scripts/install" ] || skip 'no scripts/install'
	expect 0 "$top/scripts/install" "$MTABOX" "$S/dest" /usr
	silent
	cmp "$MTABOX" dest/usr/sbin/mtabox
	same "$(cd dest/usr && find . -path ./share -prune -o ! -type d -printf '%P %m -> %l\n' | sed 's/ -> $//' | sort)" "$(sort <<-'END'
	bin/mailq 777 -> ../sbin/mtabox
	bin/newaliases 777 -> ../sbin/mtabox
	lib/sendmail 777 -> ../sbin/sendmail
	sbin/deliver 777 -> mtabox
	sbin/mtabox 755
	sbin/sendmail 777 -> mtabox
	END
	)"
	for link in bin/mailq bin/newaliases lib/sendmail sbin/deliver sbin/sendmail; do
		expect 0 "dest/usr/$link" --help
		prints "usage: ${link#*/}"
	done
}

@test "scripts/install: a page for every applet and for the configuration" {
	[ -x "$top/scripts/install" ] || skip 'no scripts/install'
	"$top/scripts/install" "$MTABOX" "$S/dest" /usr
	for page in "$top"/applets/*.[158]; do
		cmp "$page" "dest/usr/share/man/man${page##*.}/${page##*/}"
	done
	same "$(find dest/usr/share -xtype l)" ''
}

@test "scripts/install: again, over what is there, with another prefix" {
	[ -x "$top/scripts/install" ] || skip 'no scripts/install'
	for n in 1 2; do expect 0 "$top/scripts/install" "$MTABOX" "$S/dest" /opt/mail; done
	expect 0 dest/opt/mail/bin/mailq -C "$conf"
	same "$(find dest -name '*.new')" ''
}

@test "the program is static: no interpreter, nothing to load" {
	command -v readelf >/dev/null || skip 'needs readelf'
	! readelf -l "$MTABOX" | grep INTERP || fail 'an interpreter'
	! readelf -d "$MTABOX" | grep NEEDED || fail 'a library'
}
