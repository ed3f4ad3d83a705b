<?php
// SPDX-License-Identifier: ISC
// Symfony Mailer, which is Laravel's as well: symfony.php SENDMAIL_COMMAND
require "Symfony/Component/Mailer/autoload.php";
require "Symfony/Component/Mime/autoload.php";
use Symfony\Component\Mailer\Transport;
use Symfony\Component\Mime\Email;

$transport = Transport::fromDsn("sendmail://default?command=" . urlencode($argv[1]));
$transport->send((new Email())
	->from("Router <php@router.example>")
	->to("far@remote.example", "joe@router.example")
	->cc("copy@remote.example")
	->bcc("hidden@remote.example")
	->subject("from Symfony")
	->text(file_get_contents("php://stdin")));
