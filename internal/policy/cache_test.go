package policy

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/testbed"
	"authz/policies"
)

var campaign = flag.Int("cache.requests", 0, "compare at least this many requests with and without remembered decisions")

// What is remembered is what would have been decided: two engines with the same
// policies, one of which remembers, are asked the same, and every few requests OPA
// itself is. Data change in between.
func TestCacheDiffers(t *testing.T) {
	total, hits := 0, uint64(0)
	perPolicy := 300
	sets := cachePolicies()
	if len(sets) < 50 {
		t.Fatalf("%d policies", len(sets))
	}
	if testing.Short() || testbed.RaceEnabled {
		perPolicy = 60
	}
	if *campaign > 0 {
		perPolicy = *campaign/len(sets) + 1
	}
	var mu sync.Mutex
	t.Run("policies", func(t *testing.T) {
		for i, set := range sets {
			t.Run(set.name, func(t *testing.T) {
				t.Parallel()
				n, h := compareCached(t, set, perPolicy, uint64(i))
				mu.Lock()
				total, hits = total+n, hits+h
				mu.Unlock()
			})
		}
	})
	t.Logf("%d policies, %d requests compared, %d answered from memory", len(sets), total, hits)
	if hits < uint64(total)/10 {
		t.Error("hardly anything was remembered: the comparison compares nothing")
	}
}

func compareCached(t *testing.T, set cachePolicy, requests int, seed uint64) (int, uint64) {
	dir := t.TempDir()
	cfg := Config{Path: dir, Timeout: time.Minute}
	if set.library {
		cfg.Library = policies.Library
	}
	plain := loadedEngine(t, set.files, cfg)
	cfg.CacheBytes = 1 << 20
	cached := loadedEngine(t, nil, cfg)
	bare := newOPA(t, dir, set.library)
	g := &requestGenerator{rand.New(rand.NewPCG(seed, 7))}
	for n := range requests {
		if n%500 == 499 {
			set.reload(n).write(t, dir)
			if err := errors.Join(plain.Load(t.Context()), cached.Load(t.Context())); err != nil {
				t.Fatal(err)
			}
			bare = newOPA(t, dir, set.library)
		}
		r, token := g.request(), g.token()
		want, wantErr := plain.Eval(t.Context(), r, token)
		got, gotErr := cached.Eval(t.Context(), r, token)
		if failing(wantErr) != failing(gotErr) || //nolint:errorlint // both are sentinels, or nil
			!reflect.DeepEqual(unkept(got), want) {
			t.Fatalf("request %d: remembered %+v, %v\nwant %+v, %v\n%s %s %+v\ntoken %+v", n, got, gotErr, want, wantErr, r.HTTP.Method, r.HTTP.Path, r, token)
		}
		if n%5 == 0 {
			alone, err := bare.decide(t, r, token, cached.current.Load().routes)
			if failing(gotErr) != err || !alike(got, alone) { //nolint:errorlint // both are sentinels, or nil
				t.Fatalf("request %d: decided %+v, %v\nOPA alone %+v, %v\n%s %s %+v\ntoken %+v", n, got, gotErr, alone, err, r.HTTP.Method, r.HTTP.Path, r, token)
			}
		}
	}
	s := cached.Status().Cache
	t.Logf("%d hits, %d misses, %d entries, %d routes off", s.Hits, s.Misses, s.Entries, s.RoutesOff)
	return requests, s.Hits
}

// requestGenerator makes requests of a small world, so that many are alike.
type requestGenerator struct{ *rand.Rand }

func (g *requestGenerator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g *requestGenerator) request() *check.Request {
	r := &check.Request{ID: fmt.Sprint("r", g.Uint64())}
	id := g.one("a", "b", "7")
	segments := [][]string{{"orders"}, {"orders", id}, {"orders", id}, {"users", g.one("alice", "bob")}, {"health"}, {"nowhere", id}}[g.IntN(6)]
	r.Path = segments
	for _, s := range segments {
		r.HTTP.Path += "/" + s
	}
	r.HTTP.ID, r.HTTP.Method = r.ID, g.one("GET", "GET", "POST", "DELETE", "OPTIONS")
	r.HTTP.Host, r.HTTP.Scheme, r.HTTP.Protocol = "shop.example", "https", "HTTP/1.1"
	r.Time = time.Unix(int64(g.IntN(1<<30)), 0)
	r.Client = check.Client{IP: g.one("192.0.2.1", "192.0.2.2", ""), Scheme: g.one("https", "https", "http")}
	r.Client.IPBlock = r.Client.IP
	r.Source = check.Peer{Address: r.Client.IP, Port: uint32(g.IntN(3)), Principal: g.one("", "", "spiffe://a")}
	for _, name := range []string{"origin", "cookie", "x-tenant", "sec-fetch-site", "x-request-id"} {
		if g.IntN(3) == 0 {
			value := g.one("https://shop.example", "a", "", "same-origin")
			if name == "x-request-id" {
				value = r.ID
			}
			r.HTTP.Headers = append(r.HTTP.Headers, check.Header{Name: name, Value: value})
		}
	}
	g.Shuffle(len(r.HTTP.Headers), func(i, j int) {
		r.HTTP.Headers[i], r.HTTP.Headers[j] = r.HTTP.Headers[j], r.HTTP.Headers[i]
	})
	r.Query = map[string][]string{}
	if g.IntN(3) == 0 {
		r.Query[g.one("q", "page")] = []string{g.one("1", "<script>", "2")}
	}
	switch g.IntN(8) {
	case 0:
		r.Body = check.Body{Parsed: true, Value: map[string]any{"item": g.one("pen", "ink"), "n": float64(g.IntN(2))}}
		r.HTTP.Size = 20
	case 1:
		r.Body = check.Body{Truncated: true}
	case 2:
		r.Body = check.Body{Skipped: true}
	}
	if g.IntN(4) == 0 {
		r.ContextExtensions = map[string]string{"tier": g.one("gold", "none")}
	}
	if g.IntN(4) == 0 {
		r.FilterMetadata = map[string]any{"geo": map[string]any{"country": g.one("NL", "DE")}}
	}
	return r
}

func (g *requestGenerator) token() *check.Token {
	switch g.IntN(8) {
	case 0:
		return &check.Token{Status: check.TokenAbsent}
	case 1:
		return &check.Token{Status: check.TokenExpired, Error: "expired", Via: "header"}
	case 2:
		return nil
	}
	roles := [][]string{{}, {"reader"}, {"writer"}, {"admin"}, {"reader", "writer"}}[g.IntN(5)]
	subject := g.one("alice", "bob", "a", "b")
	claims := map[string]any{"sub": subject, "jti": g.one("1", "2", "3")}
	switch g.IntN(4) {
	case 0:
		claims["tenant"] = g.one("a", "b")
	case 1:
		claims["realm_access"] = map[string]any{"roles": []any{g.one("reader", "admin")}}
	case 2:
		claims["realm_access"] = g.one("odd", "")
	}
	return &check.Token{Status: check.TokenValid, Via: g.one("header", "cookie"), Issuer: "https://issuer.example",
		Subject: subject, Roles: roles, Scopes: []string{g.one("read", "write")}, Claims: claims, Header: map[string]any{"alg": "RS256"}}
}

// What is allocated on a hit: nothing.
func TestCachedAllocates(t *testing.T) {
	engine := loadedEngine(t, shop(), Config{CacheBytes: 1 << 20})
	r, token := shopRequest(), shopToken()
	if _, err := engine.Eval(t.Context(), r, token); err != nil {
		t.Fatal(err)
	}
	if _, ok := engine.Cached(r, token); !ok {
		t.Fatal("not remembered")
	}
	if n := testing.AllocsPerRun(200, func() { engine.Cached(r, token) }); n != 0 && !testbed.RaceEnabled {
		t.Errorf("%v allocations", n)
	}
}

// A reload forgets everything.
func TestCacheDiesWithData(t *testing.T) {
	dir := t.TempDir()
	files := tree{"a.rego": "package authz\ndecision := data.allow", "data.json": `{"allow": true}`}
	engine := loadedEngine(t, files, Config{Path: dir, CacheBytes: 1 << 20})
	ask := func() bool {
		got, err := engine.Eval(t.Context(), shopRequest(), shopToken())
		if err != nil {
			t.Fatal(err)
		}
		return got.Allowed
	}
	first, second := ask(), ask()
	if !first || !second || engine.Status().Cache.Hits != 1 {
		t.Fatalf("%+v", engine.Status().Cache)
	}
	tree{"data.json": `{"allow": false}`}.write(t, dir)
	if err := engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if first, second := ask(), ask(); first || second {
		t.Error("the old data still allow")
	}
}

// The memory stays in its bound, whoever asks.
func TestCacheBound(t *testing.T) {
	files := tree{"a.rego": "package authz\ndecision := {\"allowed\": true, \"headers\": {\"x-user\": input.token.subject}}"}
	engine := loadedEngine(t, files, Config{CacheBytes: 256 << 10})
	token := shopToken()
	for i := range 3000 {
		token.Subject = fmt.Sprint("somebody", i/2)
		if _, err := engine.Eval(t.Context(), shopRequest(), token); err != nil {
			t.Fatal(err)
		}
	}
	s := engine.Status().Cache
	if s.Bytes > 256<<10 || s.Entries == 0 || s.Evictions == 0 {
		t.Errorf("%+v", s)
	}
}

// A route where no two requests are alike is left alone, and tried again.
func TestCacheRests(t *testing.T) {
	files := tree{"a.rego": "package authz\ndecision := {\"allowed\": true, \"headers\": {\"x-p\": input.attributes.request.http.query}}"}
	engine := loadedEngine(t, files, Config{CacheBytes: 1 << 20})
	off := 0
	for i := range trialSize + firstPause + 10 {
		r := shopRequest()
		r.HTTP.Query = fmt.Sprint(i)
		if _, err := engine.Eval(t.Context(), r, shopToken()); err != nil {
			t.Fatal(err)
		}
		off = max(off, engine.Status().Cache.RoutesOff)
	}
	if off != 1 || engine.Status().Cache.RoutesOff != 0 {
		t.Errorf("off at most %d, now %d", off, engine.Status().Cache.RoutesOff)
	}
}

// A route whose decisions read what no two requests share is left alone soon: recording
// costs more than evaluating does.
func TestCacheGivesUp(t *testing.T) {
	files := tree{"a.rego": "package authz\ndecision := {\"allowed\": input.parsed_body.a == 1}"}
	engine := loadedEngine(t, files, Config{CacheBytes: 1 << 20})
	for i := range hopeless + 1 {
		if off := engine.Status().Cache.RoutesOff; off != 0 {
			t.Fatalf("off after %d", i)
		}
		r := shopRequest()
		r.Body = check.Body{Parsed: true, Value: map[string]any{"a": "x", "n": fmt.Sprint(i)}}
		if _, err := engine.Eval(t.Context(), r, shopToken()); err != nil {
			t.Fatal(err)
		}
	}
	if off := engine.Status().Cache.RoutesOff; off != 1 {
		t.Errorf("%d routes off", off)
	}
}

// Reloads, evictions and hits at once: for the race detector.
func TestCacheTogether(t *testing.T) {
	dir := t.TempDir()
	files := cachePolicies()[0].files
	engine := loadedEngine(t, files, Config{Path: dir, CacheBytes: 64 << 10, Timeout: time.Minute})
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			g := &requestGenerator{rand.New(rand.NewPCG(uint64(worker), 1))}
			for range 300 {
				if _, err := engine.Eval(t.Context(), g.request(), g.token()); err != nil && failing(err) == err { //nolint:errorlint // as it was returned: no sentinel in it
					t.Error(err)
				}
			}
		})
	}
	for i := range 5 {
		tree{"data.json": fmt.Sprintf(`{"n": %d}`, i)}.write(t, dir)
		if err := engine.Load(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wait.Wait()
}
