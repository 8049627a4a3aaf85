package jwks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestUnknownKeysCostOneFetchAWindow(t *testing.T) {
	i := startIssuer(t, body(named("r1")))
	s, c, _ := start(t, Config{URL: i.URL, MinRefetch: 10 * time.Second})
	c.fetched(t)
	served := keepAsking(t, s, "r1")
	for window := range 3 {
		before := i.asked.Load()
		var wg sync.WaitGroup
		for worker := range 50 {
			wg.Go(func() {
				for n := range 200 {
					id := string(rune('a'+window)) + string(rune(0x4e00+worker*200+n))
					if _, err := s.Key(t.Context(), id, "RS256"); !errors.Is(err, ErrUnknown) {
						t.Errorf("Key(%q): %v", id, err)
					}
				}
			})
		}
		wg.Wait()
		if n := i.asked.Load() - before; n != 1 {
			t.Errorf("10,000 unknown ids caused %d fetches", n)
		}
		c.advance(10 * time.Second)
	}
	t.Logf("30,000 unknown ids in 3 windows: %d fetches in all; %d good requests served meanwhile", i.asked.Load(), served())
}

func TestNewKeyIsPickedUpAtOnceByOneFetch(t *testing.T) {
	i := startIssuer(t, body(named("r1")))
	s, c, _ := start(t, Config{URL: i.URL})
	c.fetched(t)
	old := wantKey(t, s, "r1")

	release := make(chan struct{})
	i.say(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(named("r1", "r2"))
	})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := s.Key(t.Context(), "r2", "RS256"); err != nil {
				t.Errorf("Key(r2): %v", err)
			}
		})
	}
	for s.waiters.Load() < 100 {
		wantKey(t, s, "r1") // those with a good key never wait
	}
	close(release)
	wg.Wait()
	if n := i.asked.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	if wantKey(t, s, "r1").Generation == old.Generation {
		t.Error("the contents changed, the generation did not")
	}
	t.Logf("100 callers with a new key: %d fetch", i.asked.Load()-1)
}

// A key published while a refresh is under way is missed by that one; the caller
// gets another.
func TestNewKeyDuringARefresh(t *testing.T) {
	i := startIssuer(t, body(named("r1")))
	s, c, _ := start(t, Config{URL: i.URL})
	c.fetched(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	i.say(func(w http.ResponseWriter, _ *http.Request) {
		i.say(body(named("r1", "r2")))
		close(arrived)
		<-release
		_, _ = w.Write(named("r1"))
	})
	c.due <- c.now()
	<-arrived
	got := make(chan error)
	go func() {
		_, err := s.Key(t.Context(), "r2", "RS256")
		got <- err
	}()
	for s.waiters.Load() == 0 {
		wantKey(t, s, "r1")
	}
	close(release)
	if err := <-got; err != nil {
		t.Errorf("Key(r2): %v", err)
	}
}

func TestRemovedKeyIsRefusedAfterTheNextRefresh(t *testing.T) {
	i := startIssuer(t, body(named("r1", "r2")))
	s, c, _ := start(t, Config{URL: i.URL})
	c.fetched(t)
	before := wantKey(t, s, "r2").Generation
	i.say(body(named("r1")))
	c.refresh(t)
	wantNoKey(t, s, "r2", ErrUnknown)
	if after := wantKey(t, s, "r1").Generation; after == before {
		t.Error("generation unchanged")
	}
}

func TestStaleSet(t *testing.T) {
	i := startIssuer(t, body(named("r1")))
	s, c, _ := start(t, Config{URL: i.URL, MaxStale: 2 * time.Hour})
	c.fetched(t)
	generation := s.Generation()
	i.say(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	c.advance(2 * time.Hour)
	c.refresh(t)
	wantKey(t, s, "r1")
	wantNoKey(t, s, "r9", ErrUnavailable) // nobody can tell: the issuer fails
	c.fetched(t)

	c.advance(time.Second)
	wantNoKey(t, s, "r1", ErrUnavailable)
	if st := s.Status(); st.Ready || !st.Stale || st.Age != 2*time.Hour+time.Second || s.Generation() != 0 {
		t.Errorf("generation %d, status = %+v", s.Generation(), st)
	}

	i.say(body(named("r1")))
	c.refresh(t)
	wantKey(t, s, "r1")
	if st := s.Status(); !st.Ready || st.Stale || st.Age != 0 || st.LastError != "" || s.Generation() != generation {
		t.Errorf("generation %d, status = %+v", s.Generation(), st)
	}
}

func TestBeforeTheFirstSet(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	i := startIssuer(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = w.Write(named("r1"))
	})
	s, c, _ := start(t, Config{URL: i.URL})
	<-arrived
	if st := s.Status(); st.Ready || st.Generation != 0 || s.Generation() != 0 {
		t.Errorf("status = %+v", st)
	}
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Key(hurried, "r1", "RS256"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("a caller without time got %v", err)
	}
	got := make(chan error)
	go func() {
		_, err := s.Key(t.Context(), "r1", "RS256")
		got <- err
	}()
	for s.waiters.Load() == 0 {
		_ = s.Status()
	}
	close(release)
	if err := <-got; err != nil {
		t.Errorf("a caller who waited got %v", err)
	}
	c.fetched(t)
	if n := i.asked.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestDeadIssuerSlowsNobodyElse(t *testing.T) {
	deadIssuer, liveIssuer := startIssuer(t, hang), startIssuer(t, body(named("r1")))
	dead, _, _ := start(t, Config{URL: deadIssuer.URL, Timeout: time.Minute})
	live, c, _ := start(t, Config{URL: liveIssuer.URL})
	c.fetched(t)
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, maxWaiters+50)
	for range cap(results) {
		go func() {
			_, err := dead.Key(ctx, "r1", "RS256")
			results <- err
		}()
	}
	for range 50 { // those beyond the bound are told at once
		if err := <-results; !errors.Is(err, ErrUnavailable) {
			t.Errorf("beyond the bound: %v", err)
		}
	}
	for range 100_000 {
		if _, err := live.Key(t.Context(), "r1", "RS256"); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for range maxWaiters {
		if err := <-results; !errors.Is(err, ErrUnavailable) {
			t.Errorf("waiting for the dead issuer: %v", err)
		}
	}
	if st := dead.Status(); st.Ready {
		t.Errorf("status of the dead issuer = %+v", st)
	}
	t.Logf("%d callers hung on the dead issuer while 100,000 requests to the live one were served", maxWaiters)
}

func TestNotModified(t *testing.T) {
	var whole atomic.Int64
	i := startIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Cache-Control", "public, max-age=600")
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		whole.Add(1)
		_, _ = w.Write(named("r1"))
	})
	s, c, _ := start(t, Config{URL: i.URL})
	c.fetched(t)
	before := s.Status()
	for range 5 {
		c.advance(10 * time.Minute)
		if d := c.refresh(t); d < 9*time.Minute || d > 10*time.Minute {
			t.Errorf("pause of %s, want about 10 minutes", d)
		}
	}
	after := s.Status()
	if whole.Load() != 1 || after.Generation != before.Generation || after.Failures != 0 ||
		after.LastSuccess != before.LastSuccess.Add(50*time.Minute) || after.Age != 0 {
		t.Errorf("%d whole answers; before %+v, after %+v", whole.Load(), before, after)
	}
	wantKey(t, s, "r1")
	t.Logf("%d fetches, %d whole answers", i.asked.Load(), whole.Load())
}

// An answer whose ETag was never taken in is asked for again in full.
func TestBadAnswerIsNotConfirmedBy304(t *testing.T) {
	var conditional atomic.Int64
	i := startIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			conditional.Add(1)
		}
		w.Header().Set("ETag", `"bad"`)
		_, _ = io.WriteString(w, `{"keys":[]}`)
	})
	s, c, _ := start(t, Config{URL: i.URL})
	c.fetched(t)
	c.refresh(t)
	wantNoKey(t, s, "r1", ErrUnavailable)
	if n := conditional.Load(); n != 0 {
		t.Errorf("%d conditional requests", n)
	}
}

func TestFailuresAreLoggedAtMostOnceAMinute(t *testing.T) {
	i := startIssuer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	_, c, log := start(t, Config{URL: i.URL})
	c.fetched(t)
	for range 120 {
		c.advance(time.Second)
		c.refresh(t)
	}
	i.say(body(named("r1")))
	c.refresh(t)
	var messages []string
	for line := range bytes.Lines(log.Bytes()) {
		var entry struct{ Level, Msg, Issuer string }
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, entry.Level+" "+entry.Issuer+" "+entry.Msg)
	}
	warning := "WARN test issuer keys not refreshed"
	want := []string{warning, warning, warning, "INFO test issuer keys taken in", "INFO test issuer keys refreshed again"}
	if !slices.Equal(messages, want) {
		t.Errorf("log of 121 failures in two minutes:\n%s", log)
	}
}

func TestRunOnlyOnce(t *testing.T) {
	i := startIssuer(t, body(named("r1")))
	s, c, _ := start(t, Config{URL: i.URL})
	c.fetched(t)
	if err := s.Run(t.Context()); err == nil {
		t.Error("a second Run was allowed")
	}
}

func BenchmarkKey(b *testing.B) {
	keys, _, err := parse(named("r1", "r2", "p256"))
	if err != nil {
		b.Fatal(err)
	}
	x, err := newIndex(keys, 1)
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{URL: "https://localhost/"}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	s.current.Store(&snapshot{index: x, generation: 1, confirmed: time.Now()})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Key(b.Context(), "r1", "RS256"); err != nil {
			b.Fatal(err)
		}
	}
}
