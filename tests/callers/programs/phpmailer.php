<?php
// SPDX-License-Identifier: ISC
// PHPMailer: phpmailer.php isSendmail|isMail
set_include_path("/usr/share/php");
foreach (["PHPMailer", "Exception"] as $class)
	require "libphp-phpmailer/src/$class.php";
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->{$argv[1]}();
$mail->CharSet = "utf-8";
$mail->Encoding = "8bit";
$mail->setFrom("php@router.example", "Router");
$mail->addAddress("far@remote.example", "Far, Away");
$mail->addAddress("joe@router.example");
$mail->addCC("copy@remote.example");
$mail->addBCC("hidden@remote.example");
$mail->Subject = "from PHPMailer";
$mail->Body = file_get_contents("php://stdin");
$mail->send();
