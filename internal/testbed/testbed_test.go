package testbed_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"authz/internal/testbed"
)

// Every algorithm's token verifies with the published key, by somebody else's code.
func TestTokensVerify(t *testing.T) {
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"} {
		t.Run(alg, func(t *testing.T) {
			key := testbed.NewKey("k", alg)
			text, err := json.Marshal(key.JWK())
			if err != nil {
				t.Fatal(err)
			}
			published, err := jwk.ParseKey(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			payload, err := jws.Verify([]byte(key.Token(map[string]any{"sub": "alice"})), jws.WithKey(jwa.SignatureAlgorithm(alg), published))
			if err != nil || string(payload) != `{"sub":"alice"}` {
				t.Errorf("verified %q, %v", payload, err)
			}
		})
	}
}

func TestTokenHeader(t *testing.T) {
	key := testbed.NewKey("k", "HS256")
	token := key.TokenWith(map[string]any{"alg": "none", "kid": nil, "jku": "https://evil.example"}, nil)
	m, err := jws.Parse([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m.Signatures()[0].ProtectedHeaders())
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"alg":"none","jku":"https://evil.example","typ":"JWT"}`; string(got) != want {
		t.Errorf("header %s, want %s", got, want)
	}
}

func TestIssuerRotates(t *testing.T) {
	issuer := testbed.NewIssuer("ES256")
	defer issuer.Close()
	ids := func() string {
		set, err := jwk.Fetch(context.Background(), issuer.URL+"/jwks")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for i := range set.Len() {
			k, _ := set.Key(i)
			ids = append(ids, k.KeyID())
		}
		return strings.Join(ids, " ")
	}
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"at first", func() {}, "key-1"},
		{"rotated", func() { issuer.Rotate("EdDSA") }, "key-1 key-2"},
		{"old one retired", func() { issuer.Retire("key-1") }, "key-2"},
		{"a name is not used again", func() { issuer.Rotate("ES256") }, "key-2 key-3"},
	}
	for _, s := range steps {
		s.do()
		if got := ids(); got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
	}
	if got := issuer.Key().ID; got != "key-3" {
		t.Errorf("signs with %s", got)
	}
	if _, fetches := issuer.Fetches(); fetches != len(steps) {
		t.Errorf("%d fetches", fetches)
	}
}

func TestIssuerMisbehaves(t *testing.T) {
	issuer := testbed.NewIssuer("ES256")
	defer issuer.Close()
	fetch := func() (status int, size int64) {
		res, err := http.Get(issuer.URL + "/jwks")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		size, err = io.Copy(io.Discard, res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, size
	}
	issuer.Answer(issuer.Fail(http.StatusBadGateway))
	if status, _ := fetch(); status != http.StatusBadGateway {
		t.Errorf("Fail: %d", status)
	}
	issuer.Answer(issuer.Huge(3 << 20))
	if status, size := fetch(); status != http.StatusOK || size < 3<<20 {
		t.Errorf("Huge: %d, %d bytes", status, size)
	}
	issuer.Answer(issuer.Garbage())
	if status, size := fetch(); status != http.StatusOK || size > 100 {
		t.Errorf("Garbage: %d, %d bytes", status, size)
	}
	asked := make(chan struct{})
	issuer.Answer(func(w http.ResponseWriter, r *http.Request) { close(asked); issuer.Hang()(w, r) })
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer.URL+"/jwks", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Errorf("Hang answered %s", res.Status)
	}
	issuer.Answer(nil)
	if status, _ := fetch(); status != http.StatusOK {
		t.Errorf("mended: %d", status)
	}
}

func TestAppEchoes(t *testing.T) {
	app := testbed.NewApp()
	defer app.Close()
	res, err := http.Post("http://"+app.Addr+"/orders?q=1", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var echoed testbed.Seen
	if err := json.NewDecoder(res.Body).Decode(&echoed); err != nil {
		t.Fatal(err)
	}
	seen := app.Seen()
	if len(seen) != 1 || echoed.Method != "POST" || echoed.Path != "/orders?q=1" || echoed.Body != "body" ||
		echoed.Headers.Get("Content-Type") != "text/plain" || seen[0].Path != echoed.Path {
		t.Errorf("echoed %+v, seen %+v", echoed, seen)
	}
	app.Forget()
	app.Answer(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	res, err = http.Get("http://" + app.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusTeapot || len(app.Seen()) != 1 {
		t.Errorf("%s, %d seen", res.Status, len(app.Seen()))
	}
}
