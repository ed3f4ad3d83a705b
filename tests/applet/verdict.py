# SPDX-License-Identifier: ISC
"""What two programs that know nothing of mtabox take a bounce for (scripts/setup-readers).

usage: verdict.py ROOT FILE    ROOT: where their packages are unpacked; FILE: an mbox

Prints a line for each message of the mailbox: what flufl.bounce found, then what
Mail::DeliveryStatus::BounceParser did:

    permanent a@x.example b@x.example | bounce a@x.example user_unknown 5.1.1 ...
    temporary a@x.example             | no bounce
    nothing                           | no bounce
    mail                                            of what is no report: neither was asked
"""
import glob
import mailbox
import os
import subprocess
import sys

root, path = sys.argv[1:]
sys.path.append(root + "/usr/lib/python3/dist-packages")

from flufl.bounce import all_failures

PERL = r"""
use Mail::DeliveryStatus::BounceParser;
local $/;
my $b = Mail::DeliveryStatus::BounceParser->new(scalar <STDIN>);
my @words;
for ($b->reports) {
	my $reason = $_->get("std_reason");
	my $status = $_->get("Status");
	$status =~ s/\s+$//;
	push @words, join(" ", $_->get("email"), $reason, $status);
}
print $b->is_bounce ? join(" ", "bounce", sort @words) : "no bounce";
"""


def by_flufl(message):
    temporary, permanent = all_failures(message)
    found = [" ".join([name, *sorted(a.decode() for a in addresses)])
             for name, addresses in (("temporary", temporary), ("permanent", permanent)) if addresses]
    return " ".join(found) or "nothing"


def by_perl(text):
    places = [root + "/usr/share/perl5", root + "/usr/lib/perl5", *glob.glob(root + "/usr/lib/*/perl5/5*"),
              *glob.glob(root + "/usr/lib/*/perl5")]
    run = subprocess.run(["perl", "-e", PERL], input=text, capture_output=True,
                         env={**os.environ, "PERL5LIB": ":".join(places)})
    return run.stdout.decode() if run.returncode == 0 else "failed: " + run.stderr.decode()


for message in mailbox.mbox(path):
    if message.get_content_type() == "multipart/report":
        print(by_flufl(message), "|", by_perl(bytes(message)))
    else:
        print("mail")
