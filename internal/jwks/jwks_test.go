package jwks

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string // the faults, a line each
	}{
		{"nothing", Config{}, "issuer: is needed to find the keys by discovery; or give jwks_url or jwks_file"},
		{"discovery", Config{Issuer: "https://id.example.com"}, ""},
		{"discovery elsewhere", Config{Issuer: "tenant-7", DiscoveryURL: "https://id.example.com/7"}, ""},
		{"key set", Config{URL: "https://id.example.com/keys"}, ""},
		{"file", Config{File: "keys.json"}, ""},
		{"loopback", Config{Issuer: "http://127.0.0.1:8080"}, ""},
		{"localhost", Config{URL: "http://localhost/keys"}, ""},
		{"IPv6 loopback", Config{URL: "http://[::1]:80/keys"}, ""},
		{"plain http", Config{Issuer: "http://id.example.com"}, "issuer: is plain http: whoever is on the path could replace the keys"},
		{"plain http, insisted on", Config{Issuer: "http://id.example.com", AllowHTTP: true}, ""},
		{"loopback look-alike", Config{URL: "http://localhost.example.com/"}, "jwks_url: is plain http: whoever is on the path could replace the keys"},
		{"not a URL", Config{Issuer: "id.example.com"}, "issuer: is not an https URL"},
		{"file URL", Config{URL: "file:///etc/passwd"}, "jwks_url: is not an https URL"},
		{"password", Config{URL: "https://a:b@id.example.com/"}, "jwks_url: must not hold a user name, password or fragment"},
		{"two sources", Config{URL: "https://id.example.com/keys", File: "keys.json"}, "jwks_url, jwks_file: give one of them"},
		{
			"everything at once",
			Config{Timeout: -1, MaxBytes: -1, MinRefresh: time.Hour, MaxRefresh: time.Minute, MaxStale: time.Second, MinRefetch: -1},
			`timeout: must not be negative
refetch_window: must not be negative
max_bytes: must not be negative
min_refresh: 1h0m0s is more than max_refresh (1m0s)
max_stale: 1s is less than max_refresh (1m0s): the keys would lapse between two refreshes
issuer: is needed to find the keys by discovery; or give jwks_url or jwks_file`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg, slog.New(slog.DiscardHandler))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("faults:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	document := func(issuer, keys string) http.HandlerFunc {
		text, err := json.Marshal(map[string]string{"issuer": issuer, "jwks_uri": keys})
		if err != nil {
			t.Fatal(err)
		}
		return body(text)
	}
	tests := []struct {
		name     string
		document func(base string) http.HandlerFunc
		want     string // LastError; empty: the keys are there
	}{
		{"as it should be", func(base string) http.HandlerFunc { return document(base+"/", base+"/keys") }, ""},
		{"another issuer", func(base string) http.HandlerFunc { return document("https://id.example.com/", base+"/keys") }, "discovering the keys: the document is another issuer's"},
		{"the issuer without its slash", func(base string) http.HandlerFunc { return document(base, base+"/keys") }, "discovering the keys: the document is another issuer's"},
		{"keys over plain http elsewhere", func(base string) http.HandlerFunc { return document(base+"/", "http://example.com/keys") }, "discovering the keys: jwks_uri is plain http: whoever is on the path could replace the keys"},
		{"keys in a file", func(base string) http.HandlerFunc { return document(base+"/", "file:///etc/keys") }, "discovering the keys: jwks_uri is not an https URL"},
		{"no keys", func(base string) http.HandlerFunc { return document(base+"/", "") }, "discovering the keys: jwks_uri is not an https URL"},
		{"not JSON", func(string) http.HandlerFunc { return body([]byte("hello")) }, "discovering the keys: answer is not a discovery document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mux := http.NewServeMux()
			i := startIssuer(t, mux.ServeHTTP)
			mux.HandleFunc("/.well-known/openid-configuration", tt.document(i.URL))
			mux.HandleFunc("/keys", body(named("r1")))
			s, c, _ := start(t, Config{Issuer: i.URL + "/"})
			c.fetched(t)
			if got := s.Status().LastError; got != tt.want {
				t.Fatalf("error %q, want %q", got, tt.want)
			}
			if tt.want == "" {
				wantKey(t, s, "r1")
			} else {
				wantNoKey(t, s, "r1", ErrUnavailable)
			}
		})
	}
}

// Over https the keys must come over https too, even where plain http is allowed.
func TestTLS(t *testing.T) {
	var jwksURI string
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the client that does not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	plain := startIssuer(t, body(named("r1")))
	mux.HandleFunc("/keys", body(named("r1")))
	mux.HandleFunc("/down", redirect(strings.Replace(server.URL, "https:", "http:", 1)+"/keys"))
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": server.URL, "jwks_uri": jwksURI})
	})
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	tests := []struct {
		name, jwksURI string
		roots         *x509.CertPool
		ready         bool
		want          string // part of LastError
	}{
		{"trusted", server.URL + "/keys", roots, true, ""},
		{"not trusted", server.URL + "/keys", nil, false, "certificate signed by unknown authority"},
		{"down to http", plain.URL, roots, false, "jwks_uri is plain http although the issuer is not"},
		{"down to http by redirect", server.URL + "/down", roots, false, "redirects from https to something less"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			jwksURI = tt.jwksURI
			s, c, _ := start(t, Config{Issuer: server.URL, RootCAs: tt.roots, AllowHTTP: true})
			c.fetched(t)
			if st := s.Status(); st.Ready != tt.ready || !strings.Contains(st.LastError, tt.want) || (st.LastError == "") != tt.ready {
				t.Errorf("status = %+v", st)
			}
		})
	}
	if n := plain.asked.Load(); n != 0 {
		t.Errorf("plain http was asked %d times", n)
	}
}

func TestRedirectWithinTheHost(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/old", redirect("/new"))
	mux.HandleFunc("/new", body(named("r1")))
	i := startIssuer(t, mux.ServeHTTP)
	s, c, _ := start(t, Config{URL: i.URL + "/old"})
	c.fetched(t)
	wantKey(t, s, "r1")
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(named("r1"))
	s, c, _ := start(t, Config{File: path})
	if pause := c.fetched(t); pause != 5*time.Second {
		t.Errorf("read again after %s", pause)
	}
	first := wantKey(t, s, "r1").Generation
	c.refresh(t)
	if again := wantKey(t, s, "r1").Generation; again != first {
		t.Error("generation changed although the file did not")
	}

	write(named("r2"))
	wantKey(t, s, "r2") // at once, because it is asked for
	c.fetched(t)
	write(named("r3"))
	c.refresh(t)
	wantKey(t, s, "r3")
	wantNoKey(t, s, "r2", ErrUnknown)

	write([]byte("{"))
	c.refresh(t)
	wantKey(t, s, "r3")
	write(make([]byte, 1<<20+1))
	c.refresh(t)
	wantKey(t, s, "r3")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.refresh(t)
	wantKey(t, s, "r3")
	st := s.Status()
	if st.Failures != 3 || !st.Ready || !strings.Contains(st.LastError, "no such file") {
		t.Errorf("status = %+v", st)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	c.refresh(t)
	if st := s.Status(); !strings.Contains(st.LastError, "is not a file") {
		t.Errorf("status = %+v", st)
	}
}

func TestInterval(t *testing.T) {
	cfg := Config{MinRefresh: time.Minute, MaxRefresh: time.Hour}
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	tests := []struct {
		name      string
		header    http.Header
		low, high time.Duration
	}{
		{"nothing said", header(), 13*time.Minute + 30*time.Second, 15 * time.Minute},
		{"in bounds", header("Cache-Control", "public, max-age=1200, must-revalidate"), 18 * time.Minute, 20 * time.Minute},
		{"in two headers", header("Cache-Control", "public", "Cache-Control", "MAX-AGE=1200"), 18 * time.Minute, 20 * time.Minute},
		{"aged", header("Cache-Control", "max-age=1200", "Age", "600"), 9 * time.Minute, 10 * time.Minute},
		{"older than fresh", header("Cache-Control", "max-age=1200", "Age", "6000"), time.Minute, 66 * time.Second},
		{"too often", header("Cache-Control", "max-age=1"), time.Minute, 66 * time.Second},
		{"no-store", header("Cache-Control", "max-age=1200, no-store"), time.Minute, 66 * time.Second},
		{"too rarely", header("Cache-Control", "max-age=31536000"), 54 * time.Minute, time.Hour},
		{"beyond a number", header("Cache-Control", "max-age=99999999999999999999"), 13*time.Minute + 30*time.Second, 15 * time.Minute},
		{"negative", header("Cache-Control", "max-age=-5"), 13*time.Minute + 30*time.Second, 15 * time.Minute},
		{"not a number", header("Cache-Control", "max-age=soon"), 13*time.Minute + 30*time.Second, 15 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := map[time.Duration]bool{}
			for range 200 {
				d := cfg.interval(freshness(tt.header))
				if d < tt.low || d > tt.high {
					t.Fatalf("pause of %s, want %s to %s", d, tt.low, tt.high)
				}
				seen[d] = true
			}
			if len(seen) < 2 {
				t.Error("no jitter")
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	for _, tt := range []struct {
		failures int
		high     time.Duration
	}{{1, time.Second}, {2, 2 * time.Second}, {5, 16 * time.Second}, {7, time.Minute}, {1000, time.Minute}} {
		for range 100 {
			if d := backoff(tt.failures, time.Minute); d < tt.high/2 || d > tt.high {
				t.Errorf("after %d failures a pause of %s", tt.failures, d)
			}
		}
	}
}

func TestNothingHappensBeforeRun(t *testing.T) {
	i := startIssuer(t, body(named("r1")))
	s, err := New(Config{URL: i.URL}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Ready || st.Fetches != 0 {
		t.Errorf("status = %+v", st)
	}
	if i.asked.Load() != 0 {
		t.Error("New asked the issuer")
	}
}
