#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Perl's Email::Sender.
use strict;
use warnings;
use Email::Sender::Simple qw(sendmail);
use Email::Sender::Transport::Sendmail;
use Email::Simple;

my $mail = Email::Simple->create(
	header => [
		To => 'far@remote.example',
		From => '"Router" <perl@router.example>',
		Subject => 'from Email::Sender',
	],
	body => join('', <STDIN>),
);
sendmail($mail, {
	from => 'perl@router.example',
	to => ['far@remote.example', 'hidden@remote.example', 'joe@router.example'],
	transport => Email::Sender::Transport::Sendmail->new,
});
