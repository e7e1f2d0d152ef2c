//go:build unix

package elevate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// relay starts a Server and returns the Client's end, unused. The Server's
// word at its end comes from served.
func relay(t *testing.T, cfg Config) (conn net.Conn, server *Server, served <-chan error) {
	t.Helper()
	root, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err = net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	server = NewServer(root, New(cfg))
	word := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { word <- server.Serve(t.Context()) })
	t.Cleanup(func() { conn.Close(); server.Close(); wg.Wait() })
	return conn, server, word
}

func throughRelay(t *testing.T, cfg Config) (*Runner, *Client, *Server) {
	t.Helper()
	conn, server, _ := relay(t, cfg)
	client := NewClient(conn)
	t.Cleanup(func() { client.Close() })
	return New(Config{Relay: client, Sudo: "/no/such/sudo"}), client, server
}

func TestRelay(t *testing.T) {
	r, _, _ := throughRelay(t, Config{Root: true})
	if err := r.Available(); err != nil || r.NeedsSudo() {
		t.Errorf("Available() = %v, NeedsSudo() = %t; want nil, false", err, r.NeedsSudo())
	}
	file := filepath.Join(t.TempDir(), "file")
	err := r.Run(t.Context(), []Command{
		shell(`printf '%s\n' "$1" >"$2"`, "\xff it's $HOME\n", file),
		shell(`echo second >>"$1"; echo chatter`, file),
		shell(`echo why >&2; exit 3`),
		shell(`echo third >>"$1"`, file),
	})
	if got := errText(err); !strings.HasSuffix(got, ": exit status 3: why") || errors.Is(err, ErrUnavailable) {
		t.Errorf("Run = %q, want the third command's failure", got)
	}
	if got, want := read(t, file), "\xff it's $HOME\n\nsecond\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	if err := r.Run(t.Context(), []Command{shell(":")}); err != nil {
		t.Errorf("after a failure: %v", err)
	}
}

func TestRelayUnavailable(t *testing.T) {
	r, _, _ := throughRelay(t, Config{})
	err := r.Run(t.Context(), []Command{shell(":")})
	if got, want := errText(err), "cannot become root: there is no sudo"; got != want || !errors.Is(err, ErrUnavailable) {
		t.Errorf("Run = %q, want %q, matching ErrUnavailable", got, want)
	}
}

func TestRelayTooLong(t *testing.T) {
	r, _, _ := throughRelay(t, Config{Root: true})
	err := r.Run(t.Context(), []Command{shell(":", strings.Repeat("x", maxLine))})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("Run = %.200v, want too long, matching ErrUnavailable", err)
	}
}

// Each of those who ask at once gets the answer to their own question.
func TestRelayConcurrently(t *testing.T) {
	r, _, _ := throughRelay(t, Config{Root: true})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := r.Run(t.Context(), []Command{shell(`exit "$1"`, fmt.Sprint(i))})
			if want := fmt.Sprintf("exit status %d", i); i == 0 && err != nil || i > 0 && !strings.HasSuffix(errText(err), want) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func TestRelayCancel(t *testing.T) {
	r, _, _ := throughRelay(t, Config{Root: true})
	l := newLifeline(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := r.Run(ctx, []Command{shell(`exec 3>"$1"; echo up >&3; sleep 60`, l.path)})
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
			t.Errorf("Run = %v, want context.Canceled", err)
		}
	})
	l.wait(t, l.up, "start of the command")
	cancel()
	wg.Wait()
	l.wait(t, l.end, "end of the command and its children")
	if err := r.Run(ctx, []Command{shell(":")}); !errors.Is(err, context.Canceled) {
		t.Errorf("already cancelled: Run = %v, want context.Canceled", err)
	}
	if err := r.Run(t.Context(), []Command{shell(":")}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestRelayClientDies(t *testing.T) {
	conn, _, served := relay(t, Config{Root: true})
	l := newLifeline(t)
	say(t, conn, request{Commands: encode([]Command{shell(`exec 3>"$1"; echo up >&3; sleep 60`, l.path)})})
	l.wait(t, l.up, "start of the command")
	conn.Close()
	l.wait(t, l.end, "end of the command and its children")
	if err := <-served; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestRelayServerDies(t *testing.T) {
	here, there := net.Pipe()
	client := NewClient(here)
	defer client.Close()
	r := New(Config{Relay: client, Sudo: "/no/such/sudo", Terminal: true})
	var wg sync.WaitGroup
	wg.Go(func() {
		bufio.NewReader(there).ReadString('\n')
		there.Close()
	})
	err := r.Run(t.Context(), []Command{shell(":")})
	if !strings.Contains(errText(err), "ended before it said how that went") || errors.Is(err, ErrUnavailable) {
		t.Errorf("died on the way: Run = %v, want that it is unknown", err)
	}
	wg.Wait()
	if err := r.Available(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Available() = %v, want ErrUnavailable", err)
	}
	if err := r.Run(t.Context(), []Command{shell(":")}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Run = %v, want ErrUnavailable", err)
	}
}

// A Server that answers neither a request nor its cancellation is given up.
func TestRelayServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		client := NewClient(here)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			for in := lines(there); in.Scan(); {
				cancel()
			}
		})
		begin := time.Now()
		err := client.run(ctx, []Command{shell(":")})
		if took := time.Since(begin); !errors.Is(err, context.Canceled) || took > 10*time.Second {
			t.Errorf("run = %v after %v, want context.Canceled soon", err, took)
		}
		client.Close()
		if err := client.available(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("available() = %v, want ErrUnavailable: its late answer would be another's", err)
		}
		wg.Wait()
	})
}

// A Client that is stopped does not keep the way to root open; one that
// asks now and then is not idle.
func TestRelayIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		server := NewServer(there, New(Config{})) // runs nothing
		begin := time.Now()
		word := make(chan error, 1)
		var wg sync.WaitGroup
		wg.Go(func() { word <- server.Serve(t.Context()) })
		in := lines(here)
		for range 3 {
			time.Sleep(idleLimit - time.Second)
			say(t, here, request{Commands: encode([]Command{shell(":")})})
			if !in.Scan() {
				t.Fatalf("after %v: no answer", time.Since(begin))
			}
		}
		say(t, here, request{Cancel: true}) // asks for nothing
		if in.Scan() {
			t.Errorf("answer %s, want the end", in.Text())
		}
		if got, want := errText(<-word), "nothing was asked for within 2m0s"; got != want {
			t.Errorf("Serve = %q, want %q", got, want)
		}
		if got, want := time.Since(begin), 3*(idleLimit-time.Second)+idleLimit; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
		wg.Wait()
	})
}

func TestRelayInterrupt(t *testing.T) {
	r, client, server := throughRelay(t, Config{Root: true})
	for range 2 {
		if err := server.Interrupt(); err != nil {
			t.Fatal(err)
		}
	}
	<-client.Interrupted()
	if err := r.Run(t.Context(), []Command{shell(":")}); err != nil {
		t.Errorf("what cleans up afterwards: %v", err)
	}
}

// A cancel that came too late does not end the next command.
func TestRelayLateCancel(t *testing.T) {
	conn, _, _ := relay(t, Config{Root: true})
	in := lines(conn)
	say(t, conn, request{Commands: encode([]Command{shell(":")})})
	hear(t, in, reply{})
	say(t, conn, request{Cancel: true})
	say(t, conn, request{Commands: encode([]Command{shell("sleep 0.2")})})
	hear(t, in, reply{})
}

// The Server does not rely on the Client to have looked.
func TestRelayChecksCommands(t *testing.T) {
	conn, _, _ := relay(t, Config{Root: true})
	in := lines(conn)
	file := filepath.Join(t.TempDir(), "file")
	say(t, conn, request{Commands: encode([]Command{shell(`>"$1"`, file), {"rm", file}})})
	hear(t, in, reply{Error: `command "rm" is not an absolute path`})
	if _, err := os.Stat(file); err == nil {
		t.Error("the first command ran")
	}
}

func TestRelayGarbageForServer(t *testing.T) {
	slow, err := json.Marshal(request{Commands: encode([]Command{shell("sleep 60")})})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		said []byte
		want string
	}{
		"no JSON":      {[]byte("run /bin/sh\n"), "read a request: invalid character"},
		"another type": {[]byte(`{"commands":"/bin/sh"}` + "\n"), "read a request: json: cannot unmarshal"},
		"nothing":      {[]byte("{}\n"), "asks for nothing"},
		"empty line":   {[]byte("\n"), "read a request: unexpected end"},
		"half a line":  {slow[:len(slow)/2], "read a request: unexpected end"},
		"endless line": {bytes.Repeat([]byte("x"), maxLine+1), "longer than 1048576 bytes"},
		"impatience":   {bytes.Repeat(append(slow, '\n'), 3), "others wait for their answers"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _, served := relay(t, Config{Root: true})
			conn.Write(tt.said) // all of it, or until the Server has had enough
			conn.(*net.UnixConn).CloseWrite()
			if got := errText(<-served); !strings.Contains(got, tt.want) {
				t.Errorf("Serve = %q, want %q", got, tt.want)
			}
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			for in := lines(conn); in.Scan(); {
				if !strings.Contains(in.Text(), string(canceled)) {
					t.Errorf("answer %s, want none but of a cancelled command", in.Text())
				}
			}
		})
	}
}

func TestRelayGarbageForClient(t *testing.T) {
	for name, said := range map[string]string{
		"no JSON":      "all is well\n",
		"another type": `{"error":1}` + "\n",
		"endless line": strings.Repeat("x", maxLine+1),
		"half a line":  `{"error":"it`,
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			client := NewClient(here)
			defer client.Close()
			var wg sync.WaitGroup
			wg.Go(func() {
				bufio.NewReader(there).ReadString('\n')
				there.Write([]byte(said))
				there.Close()
			})
			if err := client.run(t.Context(), []Command{shell(":")}); err == nil {
				t.Error("run = nil, want an error")
			}
			wg.Wait()
		})
	}
	t.Run("answers to nothing", func(t *testing.T) {
		here, there := net.Pipe()
		client := NewClient(here)
		defer client.Close()
		there.Write([]byte("{}\n{}\n"))
		<-client.gone
	})
}

func say(t *testing.T, conn net.Conn, r request) {
	t.Helper()
	w := lineWriter{conn: conn}
	if err := w.write(r); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, in *bufio.Scanner, want reply) {
	t.Helper()
	var got reply
	if !in.Scan() {
		t.Fatalf("no answer: %v", in.Err())
	}
	if err := json.Unmarshal(in.Bytes(), &got); err != nil || got != want {
		t.Errorf("answer %s, %v; want %+v", in.Bytes(), err, want)
	}
}

// Whatever comes, the Server ends when the Client does, and cannot be made to
// say what no Client takes.
func FuzzRelay(f *testing.F) {
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"cancel":true}` + "\n" + `{"commands":[["L2Jpbi9zaA=="],[]]}` + "\n{"))
	f.Fuzz(func(t *testing.T, said []byte) {
		here, there := net.Pipe()
		server := NewServer(there, New(Config{})) // runs nothing
		var wg sync.WaitGroup
		wg.Go(func() { server.Serve(t.Context()) })
		wg.Go(func() {
			for in := lines(here); in.Scan(); {
				var r reply
				if err := json.Unmarshal(in.Bytes(), &r); err != nil || r.Error == "" || r.Interrupt {
					t.Errorf("answer %q, %v; want an error", in.Bytes(), err)
				}
			}
		})
		here.Write(said)
		here.Close()
		wg.Wait()
	})
}
