#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Perl's MIME::Lite.
use strict;
use warnings;
use MIME::Lite;

my $mail = MIME::Lite->new(
	From => 'Router <perl@router.example>',
	To => 'far@remote.example, joe@router.example',
	Cc => 'copy@remote.example',
	Bcc => 'hidden@remote.example',
	Subject => 'from MIME::Lite',
	Type => 'text/plain; charset=utf-8',
	Encoding => '8bit',
	Data => join('', <STDIN>),
);
$mail->send('sendmail') or die "not sent\n";
