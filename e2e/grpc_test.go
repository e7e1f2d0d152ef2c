package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// interopCases are those of the gRPC project that need no cloud. Each ends the
// process on a failure, through its log: see fatalLog.
var interopCases = []struct {
	name string
	run  func(context.Context, *grpc.ClientConn)
}{
	{"empty_unary", interopCase(interop.DoEmptyUnaryCall)},
	{"large_unary", interopCase(interop.DoLargeUnaryCall)},
	{"client_streaming", interopCase(interop.DoClientStreaming)},
	{"server_streaming", interopCase(interop.DoServerStreaming)},
	{"ping_pong", interopCase(interop.DoPingPong)},
	{"empty_stream", interopCase(interop.DoEmptyStream)},
	{"timeout_on_sleeping_server", interopCase(interop.DoTimeoutOnSleepingServer)},
	{"cancel_after_begin", interopCase(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", interopCase(interop.DoCancelAfterFirstResponse)},
	{"status_code_and_message", interopCase(interop.DoStatusCodeAndMessage)},
	{"special_status_message", interopCase(interop.DoSpecialStatusMessage)},
	{"custom_metadata", interopCase(interop.DoCustomMetadata)},
	{"unimplemented_method", interop.DoUnimplementedMethod},
	{"unimplemented_service", func(ctx context.Context, conn *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(conn))
	}},
}

func interopCase(do func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn) {
	return func(ctx context.Context, conn *grpc.ClientConn) { do(ctx, testpb.NewTestServiceClient(conn)) }
}

// A fatalLog is gRPC's log. What would end the process fails the test instead;
// the cases of interop call it from the goroutine of the test.
type fatalLog struct {
	grpclog.LoggerV2
	test atomic.Pointer[testing.T]
}

func (l *fatalLog) Fatal(args ...any)                 { l.test.Load().Fatal(args...) }
func (l *fatalLog) Fatalln(args ...any)               { l.test.Load().Fatal(args...) }
func (l *fatalLog) Fatalf(format string, args ...any) { l.test.Load().Fatalf(format, args...) }

// TestGRPCInterop runs the cases with which the gRPC project tries its
// implementations against each other, with devproxy between the two.
func TestGRPCInterop(t *testing.T) {
	log := &fatalLog{LoggerV2: grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)}
	grpclog.SetLoggerV2(log)
	t.Cleanup(func() { grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) })

	g := startGRPC(t, "127.0.0.1:0")
	s := start(t, newHome(t), g.config(""))
	conn := s.grpcClient(t)
	for _, test := range interopCases {
		t.Run(test.name, func(t *testing.T) {
			log.test.Store(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			test.run(ctx, conn)
		})
	}
}

// A grpcBackend speaks gRPC without TLS.
type grpcBackend struct {
	addr   string
	server *grpc.Server
	began  chan time.Duration // until the deadline of a stream's context, 0 without one
	ended  chan error         // why a stream's context ended
}

func startGRPC(t *testing.T, addr string, options ...grpc.ServerOption) *grpcBackend {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	g := &grpcBackend{addr: ln.Addr().String(), began: make(chan time.Duration, 100), ended: make(chan error, 100)}
	g.server = grpc.NewServer(append(options, grpc.StreamInterceptor(g.watch))...)
	testpb.RegisterTestServiceServer(g.server, interop.NewTestServer())
	go g.server.Serve(ln)
	t.Cleanup(g.server.Stop)
	return g
}

func (g *grpcBackend) watch(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	left := time.Duration(0)
	if deadline, ok := stream.Context().Deadline(); ok {
		left = time.Until(deadline)
	}
	g.began <- left
	ctx := stream.Context()
	context.AfterFunc(ctx, func() { g.ended <- ctx.Err() })
	return handler(srv, stream)
}

// config routes grpc.localhost to the backend. options are lines of the route.
func (g *grpcBackend) config(options string) string {
	return head + fmt.Sprintf("[routes.\"grpc.localhost\"]\nto = \"h2c://%s\"\n%s\n", g.addr, options)
}

// grpcClient returns a connection to grpc.localhost over TLS.
func (s *server) grpcClient(t *testing.T) *grpc.ClientConn {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", s.port)
	conn, err := grpc.NewClient(fmt.Sprintf("passthrough:///grpc.localhost:%d", s.port),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: s.home.pool(t)})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ping says something on a stream of the echo kind and waits for the answer.
func ping(stream testpb.TestService_FullDuplexCallClient, size int32) error {
	err := stream.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: size}}})
	if err != nil {
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	if got := len(answer.Payload.Body); got != int(size) {
		return fmt.Errorf("got %d bytes, want %d", got, size)
	}
	return nil
}

// receive waits for what a backend tells.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s after %v", what, patience)
	}
	panic("unreachable")
}

// A deadline is the backend's too, and what it ends is reported as that.
func TestGRPCDeadline(t *testing.T) {
	g := startGRPC(t, "127.0.0.1:0")
	s := start(t, newHome(t), g.config(""))
	client := testpb.NewTestServiceClient(s.grpcClient(t))
	const limit = 500 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if left := receive(t, "stream", g.began); left <= 0 || left > limit {
		t.Errorf("the backend has %v left, want a part of %v", left, limit)
	}
	// The backend resets the stream at that moment, too.
	if _, err := stream.Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v, want DEADLINE_EXCEEDED", err)
	}
	if err := receive(t, "end of the stream", g.ended); err == nil {
		t.Error("the backend's context did not end")
	}
}

// A cancelled call ends at the backend, too, whether it has said all or not; the
// connection lives on.
func TestGRPCCancel(t *testing.T) {
	g := startGRPC(t, "127.0.0.1:0")
	s := start(t, newHome(t), g.config(""))
	client := testpb.NewTestServiceClient(s.grpcClient(t))
	other, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ping(other, 10); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		call func(ctx context.Context) error
	}{
		{"both speak", func(ctx context.Context) error {
			stream, err := client.FullDuplexCall(ctx)
			if err != nil {
				return err
			}
			return ping(stream, 10)
		}},
		{"the backend speaks", func(ctx context.Context) error {
			const pause = 3_000_000 // µs
			stream, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{
				ResponseParameters: []*testpb.ResponseParameters{{Size: 10}, {Size: 10, IntervalUs: pause}},
			})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if err := test.call(ctx); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			cancel()
			if err := receive(t, "end of the stream", g.ended); err != context.Canceled {
				t.Errorf("the backend's context ended with %v, want that it was cancelled", err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("the backend learned of the cancellation after %v, want less than 1s", took)
			}
		})
	}
	if err := ping(other, 10); err != nil {
		t.Errorf("another stream of the connection: %v", err)
	}
}

// Calls while the backend restarts wait for it. One that is down for good is
// UNAVAILABLE, which clients may try again.
func TestGRPCRestart(t *testing.T) {
	g := startGRPC(t, "127.0.0.1:0")
	s := start(t, newHome(t), g.config(""))
	client := testpb.NewTestServiceClient(s.grpcClient(t))
	call := func() error {
		_, err := client.EmptyCall(t.Context(), new(testpb.Empty))
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}

	g.server.Stop()
	held := make(chan error, 1)
	// The first may be sent on a connection that is just ending.
	for tries, waits := 0, false; !waits; tries++ {
		go func() { held <- call() }()
		select {
		case err := <-held:
			if status.Code(err) != codes.Unavailable || tries == 3 {
				t.Fatalf("the call ended before the backend was back: %v", err)
			}
		case <-time.After(300 * time.Millisecond): // several looks for it
			waits = true
		}
	}
	g = startGRPC(t, g.addr)
	if err := receive(t, "end of the call", held); err != nil {
		t.Errorf("a call during the restart: %v", err)
	}
	if err := call(); err != nil {
		t.Errorf("a call after the restart: %v", err)
	}

	g.server.Stop()
	h := s.home
	from := s.mark()
	h.write(t, "devproxy.toml", g.config(`hold = "0s"`))
	s.waitLogAfter(t, from, "routes reloaded", nil)
	err := call()
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "503") {
		t.Errorf("the backend is down: got %v, want UNAVAILABLE from a 503", err)
	}
}

// A backend that dies ends the streams that are open, at once, also those on
// which nobody says anything.
func TestGRPCBackendDies(t *testing.T) {
	g := startGRPC(t, "127.0.0.1:0")
	s := start(t, newHome(t), g.config(""))
	client := testpb.NewTestServiceClient(s.grpcClient(t))
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ping(stream, 10); err != nil {
		t.Fatal(err)
	}
	g.server.Stop()
	if _, err = stream.Recv(); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "RST_STREAM") {
		t.Errorf("got %v, want that the stream was reset", err)
	}
}

// Many messages on a stream, many streams at once, large messages, and pings of
// the backend while nothing else is said.
func TestGRPCVolume(t *testing.T) {
	g := startGRPC(t, "127.0.0.1:0", grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Second, Timeout: time.Second}))
	s := start(t, newHome(t), g.config(""))
	client := testpb.NewTestServiceClient(s.grpcClient(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()

	idle, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := ping(idle, 10); err != nil {
		t.Fatal(err)
	}
	opened := time.Now()

	const messages = 10_000
	t.Run("10,000 messages down", func(t *testing.T) {
		request := new(testpb.StreamingOutputCallRequest)
		for i := range messages {
			request.ResponseParameters = append(request.ResponseParameters, &testpb.ResponseParameters{Size: int32(i % 1000)})
		}
		stream, err := client.StreamingOutputCall(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for {
			answer, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("after %d messages: %v", got, err)
			}
			if len(answer.Payload.Body) != got%1000 {
				t.Fatalf("message %d has %d bytes, want %d", got, len(answer.Payload.Body), got%1000)
			}
			got++
		}
		if got != messages {
			t.Errorf("got %d messages, want %d", got, messages)
		}
	})
	t.Run("10,000 messages up", func(t *testing.T) {
		stream, err := client.StreamingInputCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for i := range messages {
			want += i % 1000
			payload := interop.ClientNewPayload(testpb.PayloadType_COMPRESSABLE, i%1000)
			if err := stream.Send(&testpb.StreamingInputCallRequest{Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := stream.CloseAndRecv()
		if err != nil {
			t.Fatal(err)
		}
		if got := int(answer.AggregatedPayloadSize); got != want {
			t.Errorf("the backend got %d bytes, want %d", got, want)
		}
	})
	t.Run("20 streams at once", func(t *testing.T) {
		var all, open sync.WaitGroup
		open.Add(20)
		for i := range 20 {
			all.Go(func() {
				if err := pingPong(ctx, client, &open); err != nil {
					t.Errorf("stream %d: %v", i, err)
				}
			})
		}
		all.Wait()
	})
	t.Run("4 MiB", func(t *testing.T) {
		const limit = 4 << 20 // gRPC's own, for a message
		call := func(size int) error {
			answer, err := client.UnaryCall(ctx, &testpb.SimpleRequest{
				ResponseSize: limit - 100,
				Payload:      interop.ClientNewPayload(testpb.PayloadType_COMPRESSABLE, size),
			})
			if err == nil && len(answer.Payload.Body) != limit-100 {
				err = fmt.Errorf("got %d bytes", len(answer.Payload.Body))
			}
			return err
		}
		if err := call(limit - 100); err != nil {
			t.Error(err)
		}
		if err := call(limit); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("beyond the limit: got %v, want RESOURCE_EXHAUSTED", err)
		}
	})
	t.Run("pings", func(t *testing.T) {
		// The backend pings after one second and closes after two.
		time.Sleep(time.Until(opened.Add(3500 * time.Millisecond)))
		if err := ping(idle, 10); err != nil {
			t.Error(err)
		}
	})
}

// pingPong says a hundred things on a stream, once all are open.
func pingPong(ctx context.Context, client testpb.TestServiceClient, open *sync.WaitGroup) error {
	stream, err := client.FullDuplexCall(ctx)
	if err == nil {
		err = ping(stream, 1)
	}
	open.Done()
	if err != nil {
		return err
	}
	open.Wait()
	for i := range 100 {
		if err := ping(stream, int32(i)); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}
