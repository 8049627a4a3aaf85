package extauthz

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authz/internal/authz"
	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// crowd is clients that ask all the time.
type crowd struct {
	stop     chan struct{}
	done     sync.WaitGroup
	answered atomic.Int64
	failures chan error
}

func gather(t *testing.T, n int, target string) *crowd {
	t.Helper()
	c := &crowd{stop: make(chan struct{}), failures: make(chan error, n)}
	for range n {
		client := authv3.NewAuthorizationClient(dial(t, target))
		c.done.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				out, err := client.Check(ctx, httpCheck("GET", "/", nil))
				cancel()
				if err != nil {
					c.failures <- err
					return
				}
				if out.GetOkResponse() != nil {
					c.answered.Add(1)
				}
			}
		})
	}
	return c
}

// more waits until n more checks have been answered.
func (c *crowd) more(t *testing.T, n int64) {
	t.Helper()
	goal := c.answered.Load() + n
	for limit := time.Now().Add(20 * time.Second); c.answered.Load() < goal; {
		select {
		case err := <-c.failures:
			t.Fatalf("a check was lost: %v", err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(limit) {
			t.Fatal("the crowd is not served any more")
		}
	}
}

func (c *crowd) disperse(t *testing.T) {
	t.Helper()
	close(c.stop)
	c.done.Wait()
	select {
	case err := <-c.failures:
		t.Errorf("a check was lost: %v", err)
	default:
	}
}

// A process is told to end and another takes its socket over, under load, three
// times in a row: no check is lost.
func TestASuccessorTakesOverUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	config := Config{Socket: path, Linger: time.Minute, Grace: time.Minute}
	current := start(t, config, nil)
	crowd := gather(t, 16, "unix:"+path)
	crowd.more(t, 100)
	for range 3 {
		current.end() // lingers: nobody else is there yet
		crowd.more(t, 100)
		successor := start(t, config, nil)
		if err := current.wait(t); err != nil {
			t.Error(err)
		}
		if n := current.Connections(); n != 0 {
			t.Errorf("%d connections left open", n)
		}
		crowd.more(t, 100)
		current = successor
	}
	crowd.disperse(t)
}

// A sidecar must not go before its Envoy: it serves whoever is there and whoever
// comes, and goes when nobody is left.
func TestItLingersWhileSomebodyIsConnected(t *testing.T) {
	s := start(t, Config{Linger: time.Minute, Grace: time.Minute}, nil)
	first := s.dial(t)
	want(t, ask(t, first, httpCheck("GET", "/", nil)), plainAllow)
	s.end()
	want(t, ask(t, first, httpCheck("GET", "/", nil)), plainAllow)
	second := s.dial(t)
	want(t, ask(t, second, httpCheck("GET", "/", nil)), plainAllow)
	if n := s.Connections(); n != 2 {
		t.Errorf("%d connections counted, want 2", n)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	want(t, ask(t, second, httpCheck("GET", "/", nil)), plainAllow)
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.path); err == nil {
		t.Error("the socket is left behind")
	}
}

func TestItDoesNotLingerForNobody(t *testing.T) {
	s := start(t, Config{Linger: time.Hour, Grace: time.Hour}, nil)
	s.end()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

// Who stays beyond the linger is told to go, and what is under way is finished.
func TestChecksUnderWayAreFinished(t *testing.T) {
	busy, release := make(chan struct{}), make(chan struct{})
	s := start(t, Config{Linger: time.Millisecond, Grace: time.Minute, CheckTimeout: time.Minute},
		func(ctx context.Context, r *check.Request) authz.Decision {
			close(busy)
			<-release
			return allowed(ctx, r)
		})
	conn := s.dial(t)
	answer := make(chan *authv3.CheckResponse, 1)
	go func() {
		out, _ := authv3.NewAuthorizationClient(conn).Check(context.Background(), httpCheck("GET", "/", nil))
		answer <- out
	}()
	<-busy
	s.end()
	// The path goes when the drain begins; only then is the check let go.
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(s.path); err != nil {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("it does not stop listening")
		}
	}
	close(release)
	want(t, <-answer, plainAllow)
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

// A check that does not end is cut off after the grace.
func TestTheGraceIsLimited(t *testing.T) {
	busy, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	s := start(t, Config{Linger: -1, Grace: time.Millisecond, CheckTimeout: time.Minute},
		func(ctx context.Context, r *check.Request) authz.Decision {
			close(busy)
			<-release // and not, as it must, when ctx ends
			return allowed(ctx, r)
		})
	failed := make(chan error, 1)
	conn := s.dial(t)
	go func() {
		_, err := authv3.NewAuthorizationClient(conn).Check(context.Background(), httpCheck("GET", "/", nil))
		failed <- err
	}()
	<-busy
	s.end()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the check was answered")
	}
}

func TestStopEndsALingeringServer(t *testing.T) {
	s := start(t, Config{Linger: time.Hour, Grace: time.Hour}, nil)
	ask(t, s.dial(t), httpCheck("GET", "/", nil))
	s.end()
	s.Stop()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

func TestStopEndsAServingServer(t *testing.T) {
	s := start(t, Config{}, nil)
	ask(t, s.dial(t), httpCheck("GET", "/", nil))
	s.Stop()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

// A listener that dies takes the server with it, and the error says which.
func TestAListenerThatDies(t *testing.T) {
	s := start(t, Config{Address: "127.0.0.1:0", Socket: filepath.Join(t.TempDir(), "s")}, nil)
	ask(t, s.dial(t), httpCheck("GET", "/", nil))
	if err := s.doors[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(t); err == nil {
		t.Error("no error")
	}
}

func TestServeWithoutListen(t *testing.T) {
	s, err := NewServer(Config{Fail: (&records{}).fail}, allowed, silent)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(context.Background()); err == nil {
		t.Error("it serves on nothing")
	}
}

// The deadline of a check is the shorter one of Envoy's and ours.
func TestDeadlines(t *testing.T) {
	limits := make(chan time.Duration, 1)
	s := start(t, Config{CheckTimeout: time.Minute}, func(ctx context.Context, r *check.Request) authz.Decision {
		deadline, _ := ctx.Deadline()
		limits <- time.Until(deadline)
		return allowed(ctx, r)
	})
	client := authv3.NewAuthorizationClient(s.dial(t))
	for _, row := range []struct{ theirs, least, most time.Duration }{
		{time.Hour, 30 * time.Second, time.Minute},
		{10 * time.Second, time.Second, 10 * time.Second},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), row.theirs)
		if _, err := client.Check(ctx, httpCheck("GET", "/", nil)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := <-limits; got < row.least || got > row.most {
			t.Errorf("with %v from the caller, the decision has %v", row.theirs, got)
		}
	}
}

// gRPC may close a connection more than once.
func TestConnectionsAreCountedOnce(t *testing.T) {
	var c connections
	near, far := net.Pipe()
	defer far.Close()
	conn := &countedConn{Conn: near, connections: &c}
	c.add(1)
	select {
	case <-c.gone():
		t.Fatal("gone with one open")
	default:
	}
	for range 2 {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	<-c.gone()
	if c.count() != 0 {
		t.Errorf("%d counted", c.count())
	}
	c.add(1)
	select {
	case <-c.gone():
		t.Error("gone with a new one open")
	default:
	}
}
