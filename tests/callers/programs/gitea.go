// SPDX-License-Identifier: ISC

// Sends standard input the way Gitea and Forgejo do: as the sender in argv[1], with LF line
// ends or, where argv[2] is "crlf", with CRLF, to the rest of the arguments.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

func send(from, ends string, to []string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if ends == "crlf" {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sendmail", append([]string{"-f", from, "-i"}, to...)...)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err = cmd.Start(); err != nil {
		pipe.Close()
		return err
	}
	_, err = pipe.Write(text)
	pipe.Close()
	waited := cmd.Wait()
	if err != nil {
		return err
	}
	return waited
}

func main() {
	if len(os.Args) < 4 {
		fmt.Println(strings.TrimPrefix(runtime.Version(), "go"))
		return
	}
	if err := send(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
