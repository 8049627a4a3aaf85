package token

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authz/internal/jwks"
)

// keepVerifying verifies good tokens, ever new ones, until the function it returns
// is called, which says how many. Each must be valid.
func keepVerifying(t *testing.T, v *Verifier) func() int {
	t.Helper()
	stop, done, begun := make(chan struct{}), make(chan int), make(chan struct{})
	texts := make([]string, 64)
	for i := range texts {
		texts[i] = sign(rs256(nil), claims(members{"n": i}), private()["r1"])
	}
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			if got := verdict(t, v, texts[n%len(texts)], theTime); got != "valid" {
				t.Errorf("good token %d: %s", n, got)
			}
			if n == 0 {
				close(begun)
			}
		}
	}()
	<-begun
	return func() int { close(stop); return <-done }
}

func TestUnknownKeyIDs(t *testing.T) {
	s := startKeys(t, "r1")
	is := issuerAt(s)
	is.Keys.MinRefetch = time.Hour
	v := start(t, Config{Issuers: []Issuer{is}})
	served := keepVerifying(t, v)
	var refused atomic.Int64
	var wg sync.WaitGroup
	for worker := range 10 {
		wg.Go(func() {
			tail := "." + b64(encode(claims(nil))) + "." + b64(make([]byte, 256))
			for i := range 1000 {
				head := b64(fmt.Appendf(nil, `{"alg":"RS256","kid":"invented-%d-%d"}`, worker, i))
				if got := verdict(t, v, head+tail, theTime); got == "invalid key_unknown" {
					refused.Add(1)
				} else {
					t.Errorf("invented key id: %s", got)
				}
			}
		})
	}
	wg.Wait()
	n := served()
	if s.asked.Load() > 2 || refused.Load() != 10_000 {
		t.Errorf("%d fetches, %d refused", s.asked.Load(), refused.Load())
	}
	t.Logf("10,000 invented key ids: %d fetch besides the first; %d good tokens verified meanwhile", s.asked.Load()-1, n)
}

func TestNewKeyWorksAtOnce(t *testing.T) {
	s := startKeys(t, "r1")
	v := start(t, Config{Issuers: []Issuer{issuerAt(s)}})
	served := keepVerifying(t, v)
	both := published("r1", "r2")
	release := make(chan struct{})
	s.say(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(both)
	})
	fresh := sign(rs256(members{"kid": "r2"}), claims(nil), private()["r2"])
	results := make(chan string, 100)
	for range cap(results) {
		go func() { results <- verdict(t, v, fresh, theTime) }()
	}
	close(release)
	for range cap(results) {
		if got := <-results; got != "valid" {
			t.Errorf("token of the new key: %s", got)
		}
	}
	n := served()
	if asked := s.asked.Load(); asked != 2 {
		t.Errorf("%d fetches, want 2", asked)
	}
	t.Logf("100 callers with a new key: %d fetch; %d good tokens verified meanwhile", s.asked.Load()-1, n)
}

func TestDeadIssuerNextToALiveOne(t *testing.T) {
	live, dead := startKeys(t, "r1"), startKeys(t, "r2")
	release := make(chan struct{})
	dead.say(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	gone := issuerAt(dead)
	gone.Name, gone.Issuer = "dead", "https://dead.example.com"
	gone.Keys = jwks.Config{URL: dead.URL, Timeout: time.Minute, MaxWait: 300 * time.Millisecond}
	v := start(t, Config{Issuers: []Issuer{issuerAt(live), gone}})
	served := keepVerifying(t, v)
	orphan := sign(rs256(members{"kid": "r2"}), claims(members{"iss": gone.Issuer}), private()["r2"])
	results := make(chan string, 50)
	for range cap(results) {
		go func() { results <- verdict(t, v, orphan, theTime) }()
	}
	for range cap(results) {
		if got := <-results; got != "unavailable keys_unavailable" {
			t.Errorf("token of the dead issuer: %s", got)
		}
	}
	t.Logf("%d callers waited for the dead issuer; %d tokens of the live one verified meanwhile", cap(results), served())
	status := v.Issuers()
	if len(status) != 2 || status[0].Name != "test" || !status[0].Ready || status[1].Name != "dead" || status[1].Ready {
		t.Errorf("issuers = %+v", status)
	}
}

func TestBadAnswersKeepTokensValid(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"empty":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := startKeys(t, "r1")
			v := start(t, Config{Issuers: []Issuer{issuerAt(s)}})
			served := keepVerifying(t, v)
			s.say(answer)
			unknown := sign(rs256(members{"kid": "r2"}), claims(nil), private()["r2"])
			if got := verdict(t, v, unknown, theTime); got != "unavailable keys_unavailable" {
				t.Errorf("a key that can't be asked for: %s", got)
			}
			n := served()
			if st := v.Issuers()[0]; st.Failures == 0 || !st.Ready {
				t.Errorf("status = %+v", st)
			}
			t.Logf("%d good tokens verified meanwhile", n)
		})
	}
}

func TestSeveralKeysForOneID(t *testing.T) {
	s := startKeys(t, "r1", "r2")
	v := start(t, Config{Issuers: []Issuer{issuerAt(s)}})
	nameless := sign(rs256(members{"kid": nil}), claims(nil), private()["r1"])
	if got := verdict(t, v, nameless, theTime); got != "invalid key_ambiguous" {
		t.Errorf("no kid, two keys: %s", got)
	}
}
