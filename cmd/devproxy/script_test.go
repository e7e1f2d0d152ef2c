package main

import (
	"crypto/tls"
	"os"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// waitFor waits until a file that a program in the background writes, such as
// its log, has a line that matches: waitfor FILE REGEXP
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	file := ts.MkAbs(args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err == nil && re.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %q in %s after %v (%v):\n%s", args[1], args[0], patience, err, text)
		}
	}
}

// shake connects with the server that has written its table to a file, as
// the host: handshake FILE HOST
func shake(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: handshake FILE HOST")
	}
	table := ts.ReadFile(args[0])
	m := regexp.MustCompile(`https://[^:]+:(\d+) `).FindStringSubmatch(table)
	if m == nil {
		ts.Fatalf("no port in\n%s", table)
	}
	// The certificate is not what this is about.
	conn, err := tls.Dial("tcp", "127.0.0.1:"+m[1], &tls.Config{ServerName: args[1], InsecureSkipVerify: true})
	ts.Check(err)
	// The server's last secrets are written before its first record, a ticket.
	conn.SetReadDeadline(time.Now().Add(patience))
	_, err = conn.Write([]byte("GET / HTTP/1.0\r\nHost: " + args[1] + "\r\n\r\n"))
	ts.Check(err)
	_, err = conn.Read(make([]byte, 1))
	ts.Check(err)
	ts.Check(conn.Close())
}
