# SPDX-License-Identifier: ISC
"""The callers of sendmail: how each is made to send one message, and what must arrive."""

import re
from dataclasses import dataclass, field

FAR, COPY, HIDDEN = (f"{name}@remote.example" for name in ("far", "copy", "hidden"))
NEAR = "joe@router.example"
ALL = (FAR, COPY, HIDDEN)
PROGRAMS = "/callers/programs"
CASES = []


@dataclass
class Case:
    name: str
    command: str          # for sh, in an empty directory; $MARK is the mark
    text: str = ""        # its standard input; @MARK@ becomes the mark
    needs: str = ""       # files without which the case is skipped
    package: str = ""     # Debian's name for it, a pattern, for the table
    sender: str = "root@router.example"
    far: tuple = (FAR,)   # recipients at the server
    near: tuple = ("joe",)  # users of the device who get it, too
    fields: tuple = ()    # patterns for fields that must be there
    body: bool = False    # the body that arrives is the text itself
    daemon: bool = False  # runs from the beginning, and sends when it likes
    argv: list = field(default_factory=list)  # not the program: only its arguments

    def __post_init__(self):
        # In the message of this case and no other.
        self.mark = f"mark-{re.sub(r'[^a-z0-9]+', '-', self.name.lower())}-end"
        self.stdin = self.text.replace("@MARK@", self.mark).encode()
        self.body = self.stdin if self.body else None


def case(name, *args, **kinds):
    CASES.append(Case(name, *args, **kinds))


def argv_case(name, arguments, text, **kinds):
    """A caller that is not here, or cannot run here: its arguments, as they are known."""
    quoted = " ".join("'" + a.replace("'", "'\\''") + "'" for a in arguments)
    case(name, f"exec /usr/sbin/sendmail {quoted}", text, argv=arguments, **kinds)


# Every line of it has gone wrong somewhere.
TEXT = """Hello, this is @MARK@.
.
..two dots
From the beginning of a line
\tGrüße, naïve café — ☃
last line
"""
CALM = "Hello, this is @MARK@.\nsecond line\n"
MESSAGE = f"""From: Router <root@router.example>
To: {FAR}
Subject: a test
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

""" + TEXT

# Mail programs.

for mutt in "mutt", "neomutt":
    case(mutt, f"{mutt} -n -F /dev/null -s 'a test' -c {COPY} -b {HIDDEN} -- {FAR} {NEAR}", TEXT,
         needs=f"/usr/bin/{mutt}", package=mutt, far=ALL, body=True,
         fields=("Subject: a test", f"Cc: {COPY}", ".*charset=utf-8"))
    case(f"{mutt}, with DSN, 8-bit and a sender",
         f"{mutt} -n -F /dev/null -e 'set use_8bitmime use_envelope_from' "
         "-e 'set from=boss@router.example dsn_notify=\"failure,delay\" dsn_return=hdrs' "
         f"-s 'a test' -- {FAR} {NEAR}", TEXT, needs=f"/usr/bin/{mutt}", package=mutt,
         sender="boss@router.example", body=True)
case("s-nail", f"s-nail -n -S mta=/usr/sbin/sendmail -S mime-encoding=8b -s 'a test' -c {COPY} "
     f"-b {HIDDEN} {FAR} {NEAR}", TEXT, needs="/usr/bin/s-nail",
     package="s-nail", far=ALL, body=True, fields=("Subject: a test",))
case("s-nail, with a sender", "s-nail -n -S mta=/usr/sbin/sendmail -S mime-encoding=8b "
     f"-r 'The Boss <boss@router.example>' -s 'a test' {FAR} {NEAR}", TEXT,
     needs="/usr/bin/s-nail", package="s-nail", sender="boss@router.example",
     body=True, fields=("From: The Boss <boss@router.example>",))
case("bsd-mailx", f"bsd-mailx -s 'a test' -c {COPY} -b {HIDDEN} {FAR} {NEAR}", TEXT,
     needs="/usr/bin/bsd-mailx", package="bsd-mailx", far=ALL, body=True,
     fields=("Subject: a test",))
case("GNU mailutils", "mail.mailutils -E 'unset dot' -s 'a test' "
     f"-a 'Cc: {COPY}' -a 'Bcc: {HIDDEN}' {FAR} {NEAR}", TEXT,
     needs="/usr/bin/mail.mailutils", package="mailutils", far=ALL, body=True,
     fields=("Subject: a test",))
for mts, dcc in ("sendmail/pipe", ""), ("sendmail/smtp", f"'Dcc: {HIDDEN}'"):
    case(f"nmh, {mts}", f"sh {PROGRAMS}/nmh.sh {mts} {dcc}", TEXT, needs="/usr/bin/mh/send",
         package="nmh", far=ALL if dcc else (FAR, COPY), fields=("Subject: a test",))
for name, options, sender in (
        ("git send-email", "", "root@router.example"),
        ("git send-email, with a sender", "--envelope-sender=boss@router.example",
         "boss@router.example"),
        ("git send-email, sendmailCmd", "--sendmail-cmd='/usr/sbin/sendmail -oi'",
         "root@router.example")):
    case(name, f"sh {PROGRAMS}/git.sh {options}", TEXT, needs="/usr/lib/git-core/git-send-email",
         package="git", far=ALL, sender=sender, fields=("Subject: \\[PATCH\\] .*",))

# Languages.

for name, php, sender in (
        ("PHP mail()", "php", ""),
        ("PHP mail(), with a sender", "php", "boss@router.example"),
        ("PHP mail(), mixed_lf_and_crlf", "php -d mail.mixed_lf_and_crlf=on", "")):
    case(name, f"{php} {PROGRAMS}/mail.php {sender}", TEXT, needs="/usr/bin/php",
         package=r"php[\d.]+-cli", sender=sender or "root@router.example", far=ALL,
         fields=("Subject: from mail\\(\\)",))
for how in "isSendmail", "isMail":
    case(f"PHPMailer, {how}", f"php {PROGRAMS}/phpmailer.php {how}", TEXT,
         needs="/usr/bin/php /usr/share/php/libphp-phpmailer",
         package="libphp-phpmailer", sender="php@router.example", far=ALL,
         fields=('To: "Far, Away" <far@remote.example>, joe@router.example',))
for options in "-bs", "-t -i", "-t":
    case(f"Symfony Mailer, Laravel, {options}",
         f"php {PROGRAMS}/symfony.php '/usr/sbin/sendmail {options}'", TEXT,
         needs="/usr/bin/php /usr/share/php/Symfony/Component/Mailer",
         package="php-symfony-mailer", far=ALL,
         sender="php@router.example",
         fields=("Subject: from Symfony",))
case("Perl Email::Sender", f"perl {PROGRAMS}/email-sender.pl", TEXT,
     needs="/usr/share/perl5/Email/Sender.pm",
     package="libemail-sender-perl", far=(FAR, HIDDEN),
     sender="perl@router.example", body=True)
case("Perl MIME::Lite", f"perl {PROGRAMS}/mime-lite.pl", TEXT,
     needs="/usr/share/perl5/MIME/Lite.pm",
     package="libmime-lite-perl", far=ALL,
     sender="perl@router.example", body=True)
case("Ruby mail", f"ruby {PROGRAMS}/mail.rb", TEXT, needs="/usr/bin/ruby",
     package="ruby-mail", far=ALL, sender="ruby@router.example")
for how in "recipients", "headers":
    case(f"Python subprocess, {how}", f"/usr/bin/python3 {PROGRAMS}/python.py {how}", TEXT,
         needs="/usr/bin/python3", package="python3", far=ALL, body=True,
         sender="python@router.example" if how == "recipients" else "root@router.example")
for ends in "unix", "windows":
    case(f"nodemailer, {ends}", f"node {PROGRAMS}/nodemailer.js {ends}", TEXT,
         needs="/usr/bin/node /usr/share/nodejs/nodemailer",
         package="node-nodemailer", far=ALL,
         sender="node@router.example")
for ends in "lf", "crlf":
    case(f"Go os/exec as Gitea, {ends}",
         f"gitea-send boss@router.example {ends} {FAR} {NEAR} {HIDDEN}", MESSAGE,
         needs="/usr/local/bin/gitea-send", package=r"golang-[\d.]+-go",
         sender="boss@router.example", far=(FAR, HIDDEN))
case("swaks", "swaks --silent 1 --helo client.example --pipe '/usr/sbin/sendmail -bs' "
     f"--from root@router.example --to {FAR},{NEAR} --header \"Subject: $MARK\" --body -", TEXT,
     needs="/usr/bin/swaks", package="swaks", fields=("Subject: .*",))

# The system's own callers.

case("Debian cron", f"exec sh {PROGRAMS}/cron.sh", needs="/usr/sbin/cron", package="cron",
     daemon=True, fields=("From: root(@router.example)? \\(Cron Daemon\\)", f"To: {FAR},{NEAR}",
                          "Subject: Cron <root@router> .*"))
case("BusyBox crond", f"exec sh {PROGRAMS}/crond.sh", needs="/usr/bin/busybox",
     package="busybox-static", daemon=True, near=(), fields=(f"To: {FAR}", "Subject: cron: .*"))
case("anacron", f"sh {PROGRAMS}/anacron.sh", needs="/usr/sbin/anacron", package="anacron",
     near=(), fields=(f"To: {FAR}",))
case("at", f"sh {PROGRAMS}/at.sh", needs="/usr/sbin/atd", package="at", far=(), near=("root",),
     fields=("Subject: Output from your job .*",))
case("sudo", f"sh {PROGRAMS}/sudo.sh", needs="/usr/bin/sudo", package="sudo", near=(),
     fields=("Auto-Submitted: .*",))
case("mdadm --monitor", f"mdadm --monitor --test --oneshot --mail {FAR} /dev/md/$MARK",
     needs="/usr/sbin/mdadm", package="mdadm", near=(), fields=("From: mdadm monitoring .*",))

case("logwatch", f"sh {PROGRAMS}/logwatch.sh", needs="/usr/sbin/logwatch", package="logwatch",
     fields=(f"To: {FAR}", f"To: {NEAR}", "Subject: Logwatch .*"))
case("smartd", f"sh {PROGRAMS}/smartd.sh", near=(), package="smartmontools",
     needs="/usr/share/smartmontools/smartd_warning.sh /usr/bin/mail",
     fields=("Subject: .*EmailTest.*",))
case("fail2ban", f"sh {PROGRAMS}/fail2ban.sh", needs="/usr/bin/fail2ban-client",
     package="fail2ban", sender="ban@router.example", near=(),
     fields=("From: Ban <ban@router.example>", "Subject: \\[Fail2Ban\\] .*"))

# Callers that Debian 12 does not have, or in other versions, or whose part takes more than a
# namespace: their arguments and their kind of message.

FIELDS = f"From: root (Cron Daemon)\nTo: {FAR}\nSubject: Cron <root@router> job\n"
argv_case("Vixie cron", ["-FCronDaemon", "-odi", "-oem", "-or0s", "joe"], FIELDS + "\n" + CALM,
          far=())
argv_case("cronie", ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"],
          FIELDS.replace("root (Cron Daemon)", '"(Cron Daemon)" <root>') + "\n" + TEXT, near=())
argv_case("cronie 1.7.0", ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "<>"],
          FIELDS.replace("root (Cron Daemon)", '"(Cron Daemon)" <root>') + "\n" + TEXT, near=(),
          sender="")
argv_case("older BusyBox crond", ["-ti", "oem"],  # which thereby becomes a recipient
          f"To: {FAR}\nSubject: cron: job\n\n" + TEXT, near=())
argv_case("fcron", ["-Ffcron", "-odi", NEAR, FAR], FIELDS + "\n" + CALM)
argv_case("systemd-cron", ["-i", "-B8BITMIME", NEAR, FAR], MESSAGE)
argv_case("unattended-upgrades, popularity-contest", ["-oi", "-t"], MESSAGE[:-1], near=())
argv_case("netdata", ["-t", "-F", "netdata on router", "-f", "netdata@router.example"],
          f"To: {FAR}, {NEAR}\r\nSubject: an alarm\r\n\r\n" + CALM.replace("\n", "\r\n"),
          sender="netdata@router.example")
argv_case("PHPMailer, CRLF", ["-fphp@router.example", "-i", "-t"],
          (MESSAGE.replace("To:", f"Bcc: {HIDDEN}, {NEAR}\nTo:")).replace("\n", "\r\n"),
          sender="php@router.example", far=(FAR, HIDDEN))
argv_case("Email::Sender, older", ["-f", "perl@router.example", FAR, NEAR],
          f"To: {FAR}\nFrom: perl@router.example\n\n" + CALM, sender="perl@router.example")
argv_case("s-nail, metoo and verbose", ["-i", "-m", "-v", "-F", "The Boss", "-f",
          "boss@router.example", "--", FAR, NEAR], MESSAGE, sender="boss@router.example")
argv_case("Linux Standard Base", ["-bm", "-odf", "-odb", "-oem", "-em", "-oep", "-ep", "-oeq",
          "-eq", "-oi", "-om", "-i", "-t", "-F", "The Boss", "-f", "boss@router.example"],
          MESSAGE, sender="boss@router.example", near=())
