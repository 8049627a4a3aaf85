package ratelimit

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fleet is many replicas around one model of a store, in simulated time: the real
// leases, the real arithmetic, no network.
type fleet struct {
	store    *model
	replicas []*Shared
	now      time.Time
	swept    time.Time
	lease    time.Duration

	// What passed, and what one store that is asked each time would have let pass.
	ideal         map[string]int64
	levels        map[string]*level
	asked         int
	passed, wants int64
}

// level is the fullness of a leaky bucket that drains at a limit's rate: its height
// over all time is the largest excess of any interval.
type level struct {
	height float64
	at     time.Time
	peak   float64
	sum    int64
	ideal  int64
	asked  int64
}

func newFleet(n int, lease time.Duration) *fleet {
	f := &fleet{store: newModel(), now: start, swept: start, lease: lease, ideal: map[string]int64{}, levels: map[string]*level{}}
	for range n {
		s := newShared(f.store, SharedConfig{Lease: lease, MaxKeys: 1, Budget: time.Hour})
		s.now = func() time.Time { return f.now }
		s.async = func(do func()) { do() }
		f.replicas = append(f.replicas, s)
	}
	return f
}

// sweep is what each replica does a few times an age.
func (f *fleet) sweep() {
	if f.lease == 0 || f.now.Sub(f.swept) < f.lease/2 {
		return
	}
	f.swept = f.now
	for _, s := range f.replicas {
		s.giveBack(context.Background(), s.leases.returns(f.now, false))
	}
}

// ask sends one request to a replica and keeps the books.
func (f *fleet) ask(t testing.TB, replica int, l Limit) bool {
	f.sweep()
	v, err := f.replicas[replica].Take(context.Background(), f.now, []Ask{{Limit: l}})
	if err != nil || v.Fallback != "" {
		t.Fatal(v, err)
	}
	r, _ := l.rate()
	key := l.Name + "/" + strings.Join(l.Key, "/")
	b := f.levels[key]
	if b == nil {
		b = &level{at: f.now}
		f.levels[key] = b
	}
	f.asked++
	b.asked += l.Cost
	if next, ok := r.take(f.ideal[key], f.now.UnixNano(), l.Cost); ok {
		f.ideal[key] = next
		b.ideal += l.Cost
		f.wants += l.Cost
	}
	if !v.Allowed {
		return false
	}
	perSecond := float64(l.Limit) / l.Window.Seconds()
	b.height = max(b.height-f.now.Sub(b.at).Seconds()*perSecond, 0) + float64(l.Cost)
	b.at, b.peak = f.now, max(b.peak, b.height)
	b.sum += l.Cost
	f.passed += l.Cost
	return true
}

// In no interval more passes than the documented bound, however the load moves between
// replicas, and of what could pass nearly all does.
func TestLeasesKeepTheBound(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var passed, wants float64
	for round := range 60 {
		l := Limit{Name: "n", Limit: 1 + random.Int64N(2000), Burst: 1 + random.Int64N([]int64{3, 2000}[round%2]), Cost: 1, Window: time.Duration(1+random.IntN(100)) * 100 * time.Millisecond}
		lease := time.Duration(random.IntN(500)) * time.Millisecond
		if round%10 == 0 {
			lease = 0
		}
		f := newFleet(1+random.IntN(10), lease)
		perSecond := float64(l.Limit) / l.Window.Seconds()
		demand := perSecond * []float64{0.3, 0.9, 1.1, 3, 20}[random.IntN(5)]
		quiet := random.IntN(2) == 0
		for i := range 20_000 {
			gap := random.ExpFloat64() / demand
			if quiet && i%2000 == 0 {
				gap += 3 * l.Window.Seconds() * random.Float64() // everyone pauses: bursts come back
			}
			f.now = f.now.Add(time.Duration(gap * 1e9))
			replica := random.IntN(len(f.replicas))
			if i/500%3 == 0 {
				replica = i / 500 % len(f.replicas) // or all load is on one
			}
			l.Key = []string{fmt.Sprint(i / 5000 % 2)}
			f.ask(t, replica, l)
		}
		for key, b := range f.levels {
			// One age of the rate, and the unit that rounding may cost.
			most := float64(l.Burst) + perSecond*min(lease, l.Window/10).Seconds() + 1
			if b.peak > most {
				t.Errorf("round %d, key %s, %d replicas, lease %s, %+v: %.1f at once, at most %.1f", round, key, len(f.replicas), lease, l, b.peak, most)
			}
			if b.ideal > 200 && float64(b.sum) < 0.9*float64(b.ideal) {
				t.Errorf("round %d, key %s, %d replicas, lease %s, %+v: %d passed of %d", round, key, len(f.replicas), lease, l, b.sum, b.ideal)
			}
		}
		passed, wants = passed+float64(f.passed), wants+float64(f.wants)
	}
	t.Logf("%.2f %% of what one exact store lets pass", 100*passed/wants)
	if passed < 0.97*wants {
		t.Errorf("only %.1f %% of the allowance is usable", 100*passed/wants)
	}
}

// What a replica holds and does not use is there for the others within two ages.
func TestUnusedLeasesComeBack(t *testing.T) {
	f := newFleet(2, 200*time.Millisecond)
	l := limit("a", 1000, 100*time.Second)
	for range 300 { // fast enough for a large block
		f.now = f.now.Add(time.Millisecond)
		f.ask(t, 0, l)
	}
	before := f.passed
	held := false
	for i := range f.replicas[0].leases.shards {
		held = held || len(f.replicas[0].leases.shards[i].held) > 0
	}
	if !held {
		t.Fatal("the first replica holds nothing: the test does not test")
	}
	f.now = f.now.Add(400 * time.Millisecond)
	f.sweep()
	for f.ask(t, 1, l) {
		f.now = f.now.Add(time.Microsecond)
	}
	if got := f.passed - before; got < 1000-before-10 {
		t.Errorf("%d passed at the first replica, then %d at the second: the rest is lost", before, got)
	}
}

// A replica that ends gives back what it holds.
func TestCloseGivesBack(t *testing.T) {
	f := newFleet(2, 200*time.Millisecond)
	l := limit("a", 1000, 1000*time.Second)
	for range 300 {
		f.now = f.now.Add(time.Millisecond)
		f.ask(t, 0, l)
	}
	f.replicas[0].Close()
	if v := take(t, f.replicas[1], f.now, Ask{Limit: l, Peek: true}); v.States[0].Remaining < 698 {
		t.Errorf("%d left of 700", v.States[0].Remaining)
	}
}

// Where a replica answers by itself, what it says of what is left goes down with what
// it lets pass, and a call that a later quota refuses takes nothing.
func TestLeasedStates(t *testing.T) {
	f := newFleet(1, 200*time.Millisecond)
	wide, narrow := limit("wide", 10_000, 1000*time.Second), limit("narrow", 1, 1000*time.Second)
	last := int64(math.MaxInt64)
	for range 200 {
		f.now = f.now.Add(time.Millisecond)
		v := take(t, f.replicas[0], f.now, Ask{Limit: wide})
		if got := v.States[0].Remaining; got > last {
			t.Fatalf("%d left after %d", got, last)
		}
		last = v.States[0].Remaining
	}
	if last != 10_000-200+1 { // in the fifth of a second one or two come back
		t.Errorf("%d left", last)
	}
	if got := f.replicas[0].Stats(); got.Local < 150 || got.RoundTrips > 50 {
		t.Fatalf("%+v: hardly anything was answered here", got)
	}
	take(t, f.replicas[0], f.now, Ask{Limit: narrow})
	for range 100 {
		if v := take(t, f.replicas[0], f.now, Ask{Limit: wide}, Ask{Limit: narrow}); v.Allowed || v.Refused != 1 || v.States[1].RetryAfter <= 0 {
			t.Fatalf("got %+v", v)
		}
	}
	if v := take(t, f.replicas[0], f.now, Ask{Limit: wide, Peek: true}); v.States[0].Remaining < last-1 {
		t.Errorf("%d left, was %d: refused calls consumed", v.States[0].Remaining, last)
	}
}

var (
	simulate = flag.Bool("simulate", false, "the large simulation; writes its table and plot into docs/design")
	models   = []int{10, 30, 100, 300, 1000}
)

// A thousand replicas and a million keys: what the store has to bear, and how exact the
// quotas are. With -simulate it is run whole and docs/design/shared-quotas.svg written.
func TestFleet(t *testing.T) {
	keys, seconds, sizes := 20_000, 1, []int{10, 100}
	if *simulate {
		keys, seconds, sizes = 1_000_000, 8, models
	}
	var rows []fleetRow
	for _, lease := range []time.Duration{0, 200 * time.Millisecond} {
		for _, n := range sizes {
			row := runFleet(t, n, keys, seconds, lease)
			t.Log(row)
			rows = append(rows, row)
			if row.usable < 0.97 || row.excess > 1 {
				t.Errorf("%s: out of bounds", row)
			}
		}
	}
	if *simulate {
		plot(t, rows)
	}
}

type fleetRow struct {
	replicas int
	lease    time.Duration
	checks   float64 // a second, all replicas
	orders   float64 // a second at the store
	hot      float64 // orders a check
	usable   float64 // of what one exact store would let pass
	excess   float64 // the highest level of any key, as a part of its bound
}

func (r fleetRow) String() string {
	return fmt.Sprintf("%4d replicas, lease %5s: %7.0f checks/s, %7.0f orders/s (%.3f a check), usable %.2f %%, fullest key at %.2f of its bound",
		r.replicas, r.lease, r.checks, r.orders, r.hot, 100*r.usable, r.excess)
}

// runFleet gives each replica 200 checks a second, of keys with Zipf's popularity: a
// limit of 100 a second each.
func runFleet(t *testing.T, n, keys, seconds int, lease time.Duration) fleetRow {
	random := rand.New(rand.NewPCG(uint64(n), 9))
	popular := rand.NewZipf(random, 1.1, 1, uint64(keys-1))
	f := newFleet(n, lease)
	l := Limit{Name: "api", Limit: 1000, Burst: 100, Cost: 1, Window: 10 * time.Second}
	rate := float64(n * 200)
	for range int(rate) * seconds {
		f.now = f.now.Add(time.Duration(random.ExpFloat64() / rate * 1e9))
		l.Key = []string{fmt.Sprint(popular.Uint64())}
		f.ask(t, random.IntN(n), l)
	}
	took := f.now.Sub(start).Seconds()
	row := fleetRow{replicas: n, lease: lease, checks: float64(f.asked) / took, orders: float64(f.store.orders) / took,
		hot: float64(f.store.orders) / float64(f.asked), usable: float64(f.passed) / float64(f.wants)}
	most := float64(l.Burst) + 100*lease.Seconds() + 1
	for _, b := range f.levels {
		row.excess = max(row.excess, b.peak/most)
	}
	return row
}

// plot draws orders a second over replicas, both axes logarithmic.
func plot(t *testing.T, rows []fleetRow) {
	const width, height, left, bottom = 640, 360, 70, 40
	x := func(n float64) float64 { return left + (math.Log10(n)-1)/2*(width-left-20) }
	y := func(v float64) float64 { return height - bottom - (math.Log10(v)-2)/4*(height-bottom-20) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	for _, n := range models {
		fmt.Fprintf(&b, `<text x="%.0f" y="%d" text-anchor="middle">%d</text>`+"\n", x(float64(n)), height-bottom+18, n)
	}
	for e := 2.0; e <= 6; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.0f" y2="%.0f" stroke="#ddd"/><text x="%d" y="%.0f" text-anchor="end">%.0f</text>`+"\n", left, width-20, y(v), y(v), left-6, y(v)+4, v)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">replicas, 200 checks a second each</text><text x="8" y="14">orders a second at the store</text>`+"\n", (width+left)/2, height-6)
	for i, lease := range []time.Duration{0, 200 * time.Millisecond} {
		var line []string
		color, name := []string{"#c33", "#36c"}[i], []string{"every check asks", "leases of 200 ms"}[i]
		for _, r := range rows {
			if r.lease == lease {
				line = append(line, fmt.Sprintf("%.0f,%.0f", x(float64(r.replicas)), y(r.orders)))
			}
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n", strings.Join(line, " "), color, left+20, 40+18*i, color, name)
	}
	b.WriteString("</svg>\n")
	if err := os.WriteFile(filepath.Join("..", "..", "docs", "design", "shared-quotas.svg"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
