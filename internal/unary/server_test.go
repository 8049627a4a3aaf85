package unary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	grpcstatus "google.golang.org/grpc/status"
)

// rawCodec carries bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}
func (rawCodec) Unmarshal(b mem.BufferSlice, v any) error {
	*v.(*[]byte) = b.Materialize()
	return nil
}

func dialGRPC(t testing.TB, address string, more ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("unix:"+address, append(more, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func invoke(ctx context.Context, cc *grpc.ClientConn, path, text string) (string, error) {
	in, out := []byte(text), []byte(nil)
	err := cc.Invoke(ctx, path, &in, &out, grpc.ForceCodecV2(rawCodec{}))
	return string(out), err
}

func TestGRPCClient(t *testing.T) {
	t.Parallel()
	s := serve(t)
	cc := dialGRPC(t, s.address)
	large := strings.Repeat("0123456789abcdef", 60_000) // 960 kB
	for _, tt := range []struct {
		name, path, in, out string
		code                codes.Code
	}{
		{name: "at once", path: echoPath, in: "hello", out: "echo:hello"},
		{name: "empty", path: echoPath, in: "", out: "echo:"},
		{name: "slow", path: echoPath, in: "slow", out: "echo:slow"},
		{name: "large", path: echoPath, in: large, out: "echo:" + large},
		{name: "large and slow", path: echoPath, in: "slow" + large, out: "echo:slow" + large},
		{name: "too large", path: echoPath, in: large + large, out: "too large"},
		{name: "panic", path: faultyPath, in: "x", out: "panicked"},
		{name: "slow panic", path: echoPath, in: "slow-panic", out: "panicked"},
		{name: "no answer", path: echoPath, in: "nothing", out: "panicked"},
		{name: "no such method", path: "/test.Test/Nothing", in: "x", code: codes.Unimplemented},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := invoke(t.Context(), cc, tt.path, tt.in)
			if grpcstatus.Code(err) != tt.code || got != tt.out {
				t.Errorf("got %.40q, %v", got, err)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := serve(t)
	client := healthpb.NewHealthClient(dialGRPC(t, s.address))
	for service, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{
		"": healthpb.HealthCheckResponse_SERVING, "sick": healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		r, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || r.Status != want {
			t.Errorf("%q: %v, %v", service, r, err)
		}
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "unknown"}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v", err)
	}
	w, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err == nil {
		_, err = w.Recv()
	}
	if grpcstatus.Code(err) != codes.Unimplemented {
		t.Errorf("watching: %v", err)
	}
}

// Many calls at once, small, large, at once and slow: each gets its own answer.
func TestManyCalls(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Queue = 1000 })
	ccs := []*grpc.ClientConn{dialGRPC(t, s.address), dialGRPC(t, s.address)}
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			for j := range 50 {
				text := fmt.Sprintf("%d-%d", i, j)
				switch j % 5 {
				case 1:
					text = "slow" + text
				case 2:
					text += strings.Repeat("y", 100*j*i)
				}
				got, err := invoke(t.Context(), ccs[i%2], echoPath, text)
				if err != nil || got != "echo:"+text {
					t.Errorf("%.20s: %.40q, %v", text, got, err)
				}
				if len(s.started) > 500 {
					for range 400 {
						<-s.started
					}
				}
			}
		})
	}
	group.Wait()
}

func TestDeadlineAndCancel(t *testing.T) {
	t.Parallel()
	s := serve(t)
	cc := dialGRPC(t, s.address)
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		// The handler answers when its time is over, which can be before the client has noticed.
		if _, err := invoke(ctx, cc, echoPath, "slow-wait"); err != nil && grpcstatus.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		if err := <-s.over; err == nil {
			t.Error("the handler's context did not end")
		}
	})
	t.Run("cancel", func(t *testing.T) {
		<-s.started
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-s.started
			cancel()
		}()
		if _, err := invoke(ctx, cc, echoPath, "slow-wait"); grpcstatus.Code(err) != codes.Canceled {
			t.Errorf("got %v", err)
		}
		if err := <-s.over; !errors.Is(err, context.Canceled) {
			t.Errorf("the handler saw %v", err)
		}
	})
}

// Over the limit of work the configured answer comes, and the rest is served.
func TestOverloaded(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Workers, c.Queue = 1, 1 })
	p := s.hello(t)
	p.call(1, "slow-hold")
	<-s.started
	p.call(3, "slow")
	p.call(5, "slow")
	p.want(5, "200 0 overloaded")
	p.alive(7)
	close(s.let)
	p.want(3, "200 0 echo:slow")
	if s.Overloads() != 1 {
		t.Errorf("%d overloads", s.Overloads())
	}
}

// A server that drains under load loses no call: what it does not serve, the client
// may send elsewhere, and does.
func TestGracefulStopLosesNothing(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		first, second := serve(t), serve(t)
		var answered, failed atomic.Int64
		// One client, two servers, one after the other: the resolver names both.
		cc := dialPair(t, first.address, second.address)
		done := make(chan struct{})
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					text := "x"
					if i%4 == 0 {
						text = strings.Repeat("large", 20_000)
					}
					got, err := invoke(t.Context(), cc, echoPath, text)
					if err != nil || got != "echo:"+text {
						failed.Add(1)
						t.Errorf("round %d: %.20q, %v", round, got, err)
					}
					answered.Add(1)
				}
			})
		}
		for answered.Load() < 500 {
			time.Sleep(time.Millisecond)
		}
		first.GracefulStop()
		at := answered.Load()
		for answered.Load() < at+500 && failed.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		close(done)
		group.Wait()
		if err := first.Serve(nopListener{}); !errors.Is(err, ErrStopped) {
			t.Errorf("serving again: %v", err)
		}
	}
}

// What is sent on is what was answered, however the messages are mixed.
func TestInlineWritesInPlace(t *testing.T) {
	t.Parallel()
	p := serve(t).hello(t)
	var batch bytes.Buffer
	for id := uint32(1); id < 200; id += 2 {
		b := p.encode(call(echoPath)...)
		batch.Write(appendFrame(nil, 1, flagEndHeaders, id, b))
		batch.Write(appendFrame(nil, 0, flagEndStream, id, message(fmt.Sprint("n", id))))
	}
	p.write(batch.Bytes())
	for id := uint32(1); id < 200; id += 2 {
		p.want(id, fmt.Sprint("200 0 echo:n", id))
	}
}
