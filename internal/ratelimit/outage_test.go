package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"authz/internal/testbed"
)

// budget is short here: what is tested is that nobody waits longer.
const budget = 25 * time.Millisecond

// outage is a way for a Redis to be no help, and its end.
type outage struct {
	name  string
	begin func(t *testing.T, w *outageWorld)
	end   func(t *testing.T, w *outageWorld)
	// answers says that the store goes on answering: the fallback has nothing to do.
	answers bool
}

type outageWorld struct {
	server *testbed.Redis
	line   *line
	client *Redis // to meddle
}

var outages = []outage{
	{"killed", func(t *testing.T, w *outageWorld) { must(t, w.server.Kill()) }, func(t *testing.T, w *outageWorld) { must(t, w.server.Restart(context.Background())) }, false},
	{"paused", func(t *testing.T, w *outageWorld) { must(t, w.server.Signal(syscall.SIGSTOP)) }, func(t *testing.T, w *outageWorld) { must(t, w.server.Signal(syscall.SIGCONT)) }, false},
	{"slow (2 s)", func(_ *testing.T, w *outageWorld) { w.line.delay.Store(int64(2 * time.Second)) }, func(_ *testing.T, w *outageWorld) { w.line.delay.Store(0) }, false},
	{"flapping", func(_ *testing.T, w *outageWorld) { w.line.flap.Store(true) }, func(_ *testing.T, w *outageWorld) { w.line.flap.Store(false) }, false},
	{"out of memory", func(t *testing.T, w *outageWorld) { w.command(t, "config", "set", "maxmemory", "1") }, func(t *testing.T, w *outageWorld) { w.command(t, "config", "set", "maxmemory", "0") }, false},
	{"script flushed", func(t *testing.T, w *outageWorld) { w.command(t, "script", "flush") }, func(*testing.T, *outageWorld) {}, true},
	{"data poisoned", func(t *testing.T, w *outageWorld) {
		l := busy
		must(t, w.client.client.Set(context.Background(), w.client.name(&l), "poison", 0).Err())
	}, func(t *testing.T, w *outageWorld) {
		l := busy
		must(t, w.client.client.Del(context.Background(), w.client.name(&l)).Err())
	}, false},
}

// busy is the limit under load: so wide that the store always lets pass.
var busy = Limit{Name: "busy", Key: []string{"k"}, Limit: 1_000_000, Burst: 1_000_000, Cost: 1, Window: time.Minute}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *outageWorld) command(t *testing.T, args ...string) {
	t.Helper()
	_, err := w.server.Command(context.Background(), args...)
	must(t, err)
}

// line is a TCP line to the server that can be slow or come and go.
type line struct {
	net.Listener
	delay atomic.Int64
	flap  atomic.Bool
	conns sync.Map
}

func newLine(t *testing.T, to string) *line {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &line{Listener: l}
	t.Cleanup(func() { p.Close(); p.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c, to)
		}
	}()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() { // flapping: every tenth of a second all connections break
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if p.flap.Load() {
					p.cut()
				}
			case <-stop:
				return
			}
		}
	}()
	return p
}

func (p *line) cut() {
	p.conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
}

func (p *line) carry(c net.Conn, to string) {
	defer c.Close()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	p.conns.Store(c, nil)
	defer p.conns.Delete(c)
	go func() { _, _ = io.Copy(up, c); up.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := up.Read(buffer)
		if err != nil {
			return
		}
		if d := time.Duration(p.delay.Load()); d > 0 {
			time.Sleep(d) // the delay is what is tested
		}
		if p.flap.Load() && time.Now().UnixMilli()/100%2 == 0 {
			return
		}
		if _, err := c.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Whatever happens to the store: nobody waits longer than the budget, the fallback
// answers as configured, and when the store is back it is asked again without help.
func TestOutages(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of outages")
	}
	for _, fallback := range []Fallback{FallbackLocal, FallbackDeny, FallbackAllow} {
		for _, o := range outages {
			t.Run(string(fallback)+"/"+o.name, func(t *testing.T) {
				t.Parallel()
				server, err := testbed.StartRedis(t.Context())
				must(t, err)
				t.Cleanup(func() { _ = server.Signal(syscall.SIGCONT); _ = server.Stop() })
				w := &outageWorld{server: server, line: newLine(t, server.Addr), client: connect(t, RedisConfig{Addresses: []string{server.Addr}})}
				store := connect(t, RedisConfig{Addresses: []string{w.line.Addr().String()}})
				w.client.prefix = store.prefix
				wait := budget
				if o.answers {
					wait = patient // it is the store that is to answer, however busy the machine is
				}
				s := newShared(store, SharedConfig{Budget: wait, Fallback: fallback, Replicas: 10})
				load := startLoad(s)
				defer load.end()
				if !load.reaches(func(st stint) bool { return st.exact > 0 }) {
					t.Fatal("the store never answers")
				}
				o.begin(t, w)
				load.next()
				if !o.answers && !load.reaches(func(st stint) bool { return st.local+st.allowed+st.denied >= 1000 }) {
					t.Error("the fallback never answers")
				}
				if o.answers && !load.reaches(func(st stint) bool { return st.exact >= 100 }) {
					t.Error("the store does not go on answering")
				}
				during := load.next()
				o.end(t, w)
				ended := time.Now()
				load.next()
				if !load.reaches(func(st stint) bool { return st.exact >= 20 }) {
					t.Fatalf("the store is never asked again: %+v, %+v", load.current(), s.Stats())
				}
				back := time.Since(ended)
				t.Logf("%-14s %-6s: p99 %5.1f ms, slowest %5.1f ms, by the store %d, by the fallback %d, refused by error %d; back after %s",
					o.name, fallback, ms(during.quantile(0.99)), ms(during.quantile(1)), during.exact, during.local+during.allowed, during.denied, back.Round(time.Millisecond))
				if during.wrong != nil || load.current().wrong != nil {
					t.Error(during.wrong, load.current().wrong)
				}
				for mode, n := range map[Fallback]int{FallbackLocal: during.local, FallbackAllow: during.allowed, FallbackDeny: during.denied} {
					if mode != fallback && n > 0 {
						t.Errorf("%d checks were answered by %s", n, mode)
					}
				}
				if o.answers && during.local+during.allowed+during.denied > 0 {
					t.Errorf("the fallback answered: %+v", during)
				}
				// On a machine that is busy with something else nobody keeps to milliseconds.
				if p99 := during.quantile(0.99); p99 > 20*budget {
					t.Errorf("p99 %s with a budget of %s", p99, budget)
				}
			})
		}
	}
}

// A master that fails over: the bound and the fallback hold, and the new master is
// found without help.
func TestFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	set, err := testbed.StartRedisSentinel(t.Context())
	must(t, err)
	defer set.Stop()
	config := RedisConfig{Mode: Sentinel, Master: set.Name, Addresses: set.Addresses()}
	t.Run("suite", func(t *testing.T) { suite(t, func() store { return simulated(t, connect(t, config)) }) })
	s := newShared(connect(t, config), SharedConfig{Budget: budget, Fallback: FallbackLocal, Replicas: 10})
	load := startLoad(s)
	defer load.end()
	if !load.reaches(func(st stint) bool { return st.exact > 0 }) {
		t.Fatal("the store never answers")
	}
	must(t, set.Master.Kill())
	begun := time.Now()
	load.next()
	if !load.reaches(func(st stint) bool { return st.exact >= 20 && st.local > 0 }) {
		t.Fatalf("no new master: %+v", load.current())
	}
	st := load.next()
	t.Logf("failed over: p99 %.1f ms, slowest %.1f ms, the new master answers after %s", ms(st.quantile(0.99)), ms(st.quantile(1)), time.Since(begun).Round(time.Millisecond))
	if st.wrong != nil || st.denied > 0 || st.allowed > 0 {
		t.Errorf("%+v", st)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// stint is what a load has met between two calls of next.
type stint struct {
	exact, local, allowed, denied int
	wrong                         error
	took                          []time.Duration
}

func (st stint) quantile(q float64) time.Duration {
	if len(st.took) == 0 {
		return 0
	}
	slices.Sort(st.took)
	return st.took[min(int(q*float64(len(st.took))), len(st.took)-1)]
}

// load asks a store from four goroutines until it is ended.
type load struct {
	mu   sync.Mutex
	st   stint
	stop chan struct{}
	all  sync.WaitGroup
}

func startLoad(s *Shared) *load { return startLoadOf(s, [][]Ask{{{Limit: busy}}}) }

func startLoadOf(s *Shared, asks [][]Ask) *load {
	l := &load{stop: make(chan struct{})}
	for i := range 4 {
		l.all.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-l.stop:
					return
				case <-tick.C:
				}
				begun := time.Now()
				i++
				v, err := s.Take(context.Background(), begun, asks[i%len(asks)])
				took := time.Since(begun)
				l.mu.Lock()
				l.st.took = append(l.st.took, took)
				switch {
				case err != nil && errors.Is(err, ErrStore) && !v.Allowed:
					l.st.denied++
				case err != nil || !v.Allowed:
					l.st.wrong = errors.Join(err, fmt.Errorf("got %+v", v))
				case v.Fallback == FallbackLocal:
					l.st.local++
				case v.Fallback == FallbackAllow:
					l.st.allowed++
				default:
					l.st.exact++
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) end() { close(l.stop); l.all.Wait() }

func (l *load) current() stint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st
}

// next begins a new stint and returns the one before.
func (l *load) next() stint {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.st
	l.st = stint{}
	return st
}

// reaches waits, half a minute at most, for the stint to be as said.
func (l *load) reaches(what func(stint) bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		if what(l.current()) {
			return true
		}
	}
	return false
}
