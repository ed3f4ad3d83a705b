<?php
// SPDX-License-Identifier: ISC
// PHP's mail(): mail.php [SENDER]
$options = isset($argv[1]) ? "-f$argv[1]" : "";
$fields = [
	"From" => "Router <php@router.example>",
	"Cc" => "copy@remote.example",
	"Bcc" => "hidden@remote.example, joe",
	"Content-Type" => "text/plain; charset=utf-8",
];
exit(mail("far@remote.example", "from mail()", file_get_contents("php://stdin"), $fields,
	$options) ? 0 : 1);
