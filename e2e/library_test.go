package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"authz/internal/testbed"
)

// shop is the policy library over testdata/library, behind an Envoy with one trusted
// proxy in front: the test plays the proxy, and so says over which scheme and from
// which address a request came.
var shop = sync.OnceValues(func() (shopFront, error) {
	config := strings.NewReplacer("e2e/testdata/policy", "e2e/testdata/library", "library: false", "library: true",
		"decision: e2e/decision", "decision: authz/decision", "routes: e2e/routes", "routes: authz/config/routes").Replace(config("e2e/testdata/policy"))
	sidecar, err := testbed.StartSidecar(ctx, testbed.SidecarOptions{Config: config, Env: []string{"E2E_SECRET=" + hmacSecret}})
	if err != nil {
		return shopFront{}, err
	}
	envoy, err := testbed.StartEnvoy(ctx, testbed.EnvoyOptions{Sidecar: sidecar.Socket, App: world.app.Addr, FailureModeAllow: true,
		Edits: append(patience(), testbed.Edit{Path: testbed.HCM + ".xff_num_trusted_hops", Value: 1})})
	if err != nil {
		return shopFront{}, errors.Join(err, sidecar.Stop())
	}
	atEnd = append(atEnd, envoy.Stop, sidecar.Stop)
	return shopFront{envoy, sidecar}, nil
})

type shopFront struct {
	envoy   *testbed.Envoy
	sidecar *testbed.Sidecar
}

// row is one case of a row of the checklist: a request, and what becomes of it. In
// expected headers "-" means that there is none.
type row struct {
	name    string
	method  string
	target  string
	host    string
	as      string // subject and roles of a good token: "alice clerk"
	scopes  string
	headers []string
	body    string           // JSON, unless headers say otherwise
	plain   bool             // over plain HTTP
	from    string           // client address
	answer  http.HandlerFunc // the app's, instead of its echo
	edge    bool             // Envoy answers before anybody is asked
	want    int
	header  map[string]string // of the answer
	errors  string            // what the problem says of fields, as JSON
	text    string            // what the app's own answer says
	without []string          // what no answer may say
	told    map[string]string // headers as the app gets them
	record  []string          // parts of the decision's record
}

// reaches says whether the app is asked.
func (c row) reaches() bool { return c.want == 200 || c.answer != nil }

// TestLibrary… are the tests of the checklist's rows, each through Envoy; their cases
// are in rows_*_test.go.
var libraryRows = map[string]func() []row{
	"TestLibraryHTTPS":          httpsRows,
	"TestLibraryAuthentication": authenticationRows,
	"TestLibraryRoles":          rolesRows,
	"TestLibraryUUIDs":          uuidRows,
	"TestLibraryConstraints":    constraintsRows,
	"TestLibraryQuotas":         quotasRows,
	"TestLibraryHeaders":        headersRows,
	"TestLibraryErrors":         errorsRows,
	"TestLibraryXSS":            xssRows,
	"TestLibraryCORS":           corsRows,
	"TestLibraryCSRF":           csrfRows,
	"TestLibraryIdentity":       identityRows,
	"TestLibraryUsage":          usageRows,
}

func TestLibraryHTTPS(t *testing.T)          { checkRows(t) }
func TestLibraryAuthentication(t *testing.T) { checkRows(t) }
func TestLibraryRoles(t *testing.T)          { checkRows(t) }
func TestLibraryUUIDs(t *testing.T)          { checkRows(t) }
func TestLibraryConstraints(t *testing.T)    { checkRows(t) }
func TestLibraryQuotas(t *testing.T)         { checkRows(t) }
func TestLibraryHeaders(t *testing.T)        { checkRows(t) }
func TestLibraryErrors(t *testing.T)         { checkRows(t) }
func TestLibraryXSS(t *testing.T)            { checkRows(t) }
func TestLibraryCORS(t *testing.T)           { checkRows(t) }
func TestLibraryCSRF(t *testing.T)           { checkRows(t) }
func TestLibraryIdentity(t *testing.T)       { checkRows(t) }
func TestLibraryUsage(t *testing.T)          { checkRows(t) }

// checkRows checks the rows of the test that asks.
func checkRows(t *testing.T) {
	front, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range libraryRows[t.Name()]() {
		t.Run(c.name, func(t *testing.T) { c.check(t, front) })
	}
}

func (c row) check(t *testing.T, front shopFront) {
	world.app.Forget()
	world.app.Answer(c.answer)
	defer world.app.Answer(nil)
	got := send(t, front.envoy, c.request())
	if got.Status != c.want {
		t.Errorf("got %d, want %d: %.300s", got.Status, c.want, got.Body)
	}
	seen := world.app.Seen()
	if reached := len(seen) > 0; reached != c.reaches() {
		t.Fatalf("the app was reached: %v", reached)
	}
	switch {
	case c.errors != "":
		wantProblem(t, got, c.want, c.errors)
	case c.want >= 400 && c.answer == nil && !c.edge:
		wantRefused(t, got, c.want)
	}
	if !strings.Contains(got.Body, c.text) {
		t.Errorf("%q is not in the answer: %.300s", c.text, got.Body)
	}
	for _, text := range c.without {
		if strings.Contains(got.Body, text) {
			t.Errorf("%q is in the answer: %.300s", text, got.Body)
		}
	}
	wantHeaders(t, got.Header, c.header)
	id := ""
	if c.reaches() && len(seen) > 0 {
		wantHeaders(t, seen[0].Headers, c.told)
		id = seen[0].Headers.Get("X-Request-Id")
	}
	if c.record == nil {
		return
	}
	if id == "" {
		var body refusal
		if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
			t.Fatal(err)
		}
		id = body.RequestID
	}
	line := decisionLine(t, front.sidecar, id)
	for _, want := range c.record {
		if !strings.Contains(line, want) {
			t.Errorf("the record lacks %s: %s", want, line)
		}
	}
}

func (c row) request() request {
	scheme, from := "https", c.from
	if c.plain {
		scheme = "http"
	}
	if from == "" {
		from = "192.0.2.1"
	}
	r := request{method: c.method, target: c.target, host: c.host,
		headers: append([]string{"X-Forwarded-Proto: " + scheme, "X-Forwarded-For: " + from}, c.headers...), body: c.body}
	if c.body != "" && !strings.Contains(strings.Join(c.headers, ""), "Content-Type") {
		r.headers = append(r.headers, "Content-Type: application/json")
	}
	if c.as != "" {
		subject, roles, _ := strings.Cut(c.as, " ")
		r.headers = append(r.headers, bearer(world.main.Token(map[string]any{"sub": subject, "roles": strings.Fields(roles), "scope": c.scopes})))
	}
	return r
}

func wantHeaders(t *testing.T, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		have := strings.Join(got.Values(name), ", ")
		if value == "-" && have != "" || value != "-" && have != value {
			t.Errorf("%s: %q, want %q", name, have, value)
		}
	}
}

// wantProblem holds an answer to be a problem document (RFC 9457) that names fields
// and rules, and nothing of what was sent.
func wantProblem(t *testing.T, a answer, status int, errors string) {
	t.Helper()
	var body struct {
		refusal
		Errors json.RawMessage `json:"errors"`
	}
	d := json.NewDecoder(strings.NewReader(a.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	if a.Header.Get("Content-Type") != "application/problem+json" || body.Status != status || body.RequestID == "" || string(body.Errors) != errors {
		t.Errorf("got %s %s, want errors %s", a.Header.Get("Content-Type"), a.Body, errors)
	}
}
