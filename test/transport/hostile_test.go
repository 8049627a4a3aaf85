package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"authz/internal/testbed"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// How much more memory the sidecar may take during an attack. What all peers may have it keep of unfinished messages, and
// of answers that they do not take, is 64 MiB each (internal/unary/limits.go), and Go's collector lets a heap double. The
// race detector takes several times more.
const (
	someMemory  = 128 << 20
	muchMemory  = 512 << 20 // for an attack that sends much
	timesRacing = 5
)

// A good peer asks at least so many times during each attack, however slow the machine is.
const enough = 5

// A hostile peer, or many of them, costs no more than there are limits for, and everything comes back; a good peer gets
// right answers all the while. HOSTILE_TIME=1m makes each attack that long (make hostile).
func TestHostilePeers(t *testing.T) {
	lasting := time.Second
	if text := os.Getenv("HOSTILE_TIME"); text != "" {
		var err error
		if lasting, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t)
	if _, err := s.memory(); err != nil {
		t.Skip("the figures come from Linux's /proc: ", err)
	}
	good := dialGood(t, s.address)
	for range enough { // what is set up once is no part of an attack
		good.ask(t, t.Context())
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			before := s.look(t)
			ctx, cancel := context.WithCancel(t.Context())
			var attackers sync.WaitGroup
			for range a.conns {
				attackers.Go(func() { a.keepOn(ctx, s.address) })
			}
			watching := make(chan struct{})
			peak := make(chan int64)
			go func() { peak <- s.peak(watching) }()
			begin, asked, slowest := time.Now(), 0, time.Duration(0)
			for asked < enough || time.Since(begin) < lasting {
				at := time.Now()
				good.ask(t, ctx)
				slowest = max(slowest, time.Since(at))
				asked++
			}
			after := s.look(t)
			lasted := time.Since(begin)
			close(watching)
			most := <-peak
			cancel()
			attackers.Wait()

			// Newcomers are served as well, as soon as the attackers' places are free.
			dialGood(t, s.address).ask(t, t.Context(), grpc.WaitForReady(true))
			limit := int64(someMemory)
			if a.much {
				limit = muchMemory
			}
			if testbed.RaceEnabled {
				limit *= timesRacing
			}
			if most > before.memory+limit {
				t.Errorf("%d MiB of memory, %d before", most>>20, before.memory>>20)
			}
			more := 10 // the newcomer's connection, and what is between two states
			if a.works {
				more += 1025 // workers stay
			}
			s.await(t, func(now figures) error {
				if now.files > before.files+3 || now.goroutines > before.goroutines+more {
					return fmt.Errorf("%d files and %d goroutines, %d and %d before", now.files, now.goroutines, before.files, before.goroutines)
				}
				return nil
			})
			t.Logf("%d connections for %.1f s: %.2f processors, at most %d MiB; good peer: %d right answers, the slowest four took %v",
				a.conns, lasted.Seconds(), (after.cpu-before.cpu)/lasted.Seconds(), most>>20, 4*asked, slowest.Round(time.Millisecond))
		})
	}
	if log := s.Log().String(); strings.Contains(log, "panic") || strings.Contains(log, "DATA RACE") {
		t.Error(log)
	}
}

// attack is what a hostile peer does with each of its connections, until it is closed. It connects again then.
type attack struct {
	name  string
	conns int
	works bool // some of its checks reach the policy
	much  bool // it sends large messages
	run   func(p *peer)
}

func (a *attack) keepOn(ctx context.Context, address string) {
	for ctx.Err() == nil {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
		a.run(&peer{nc: nc, ctx: ctx})
		stop()
		_ = nc.Close()
	}
}

// goodPeer asks as Envoy does, and knows what the answers must be.
type goodPeer struct {
	client authv3.AuthorizationClient
	n      int
}

func dialGood(t *testing.T, address string) *goodPeer {
	t.Helper()
	cc, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return &goodPeer{client: authv3.NewAuthorizationClient(cc)}
}

// ask asks twice about something to be allowed and something to be refused: one is known, one is new.
func (g *goodPeer) ask(t *testing.T, ctx context.Context, options ...grpc.CallOption) {
	t.Helper()
	g.n++
	for _, id := range []string{"known", strconv.Itoa(g.n)} {
		for path, want := range map[string]int32{"/open/": 0, "/no-route/": 404} {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			reply, err := g.client.Check(ctx, request(path+id), options...)
			cancel()
			if err != nil {
				t.Fatalf("the good peer: %v", err)
			}
			if got := int32(reply.GetDeniedResponse().GetStatus().GetCode()); got != want || (reply.GetOkResponse() != nil) != (want == 0) {
				t.Fatalf("the good peer: %s: %.1000s", path, reply)
			}
		}
	}
}

func request(path string) *authv3.CheckRequest {
	client := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "203.0.113.7"}}}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Source: &authv3.AttributeContext_Peer{Address: client}, Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: "GET", Path: path, Host: "api.example.com", Scheme: "https", Protocol: "HTTP/1.1",
			Headers: map[string]string{":authority": "api.example.com", ":method": "GET", ":path": path, ":scheme": "https",
				"x-forwarded-proto": "https", "x-request-id": "0af76519-16cd-43dd-8448-eb211c80319c"},
		}}}}
}

// figures are what the sidecar takes.
type figures struct {
	cpu               float64 // seconds so far
	memory            int64   // bytes
	files, goroutines int
}

func (s *sidecar) look(t *testing.T) (f figures) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(s.PID()), "fd"))
	cpu, cpuErr := s.Metric(t.Context(), "process_cpu_seconds_total")
	goroutines, goErr := s.Metric(t.Context(), "go_goroutines")
	memory, memErr := s.memory()
	if err := errors.Join(err, cpuErr, goErr, memErr); err != nil || goroutines == 0 {
		t.Fatal("looking at the sidecar: ", err)
	}
	return figures{cpu, memory, len(files), int(goroutines)}
}

// await waits until what is taken is as it should be.
func (s *sidecar) await(t *testing.T, judge func(figures) error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := judge(s.look(t))
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Error(err)
			return
		}
	}
}

// memory is what of the sidecar is in memory, in bytes.
func (s *sidecar) memory() (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.PID()), "status"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest + " 0 kB")[0], 10, 64)
	return kib << 10, err
}

// peak is the most memory seen until stop is closed.
func (s *sidecar) peak(stop <-chan struct{}) (most int64) {
	for {
		if now, err := s.memory(); err == nil {
			most = max(most, now)
		}
		select {
		case <-stop:
			return most
		case <-time.After(5 * time.Millisecond):
		}
	}
}
