package openapi_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"authz/internal/check"
	"authz/internal/openapi"
	"authz/internal/policy"
	"authz/policies"

	"go.yaml.in/yaml/v3"
)

func fromYAML(t testing.TB, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return plain(v)
}

// plain makes values of different readers comparable.
func plain(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		return err
	}
	return out
}

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

// engine decides with the library over imported data, as the sidecar does.
func engine(t testing.TB, data []byte) *policy.Engine {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data.yaml"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := policy.New(policy.Config{Path: dir, Library: policies.Library}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// ask is one request and its answer: 200, or the status and the first reason.
type ask struct {
	method, target string
	scopes         string // with a token that has these; "-" for no token
	kind, body     string
	want           string
}

func (a ask) request(t testing.TB) (*check.Request, *check.Token) {
	t.Helper()
	path, query, _ := strings.Cut(a.target, "?")
	r := &check.Request{
		HTTP: check.HTTP{
			Method: a.method, Path: a.target, Host: "api.example.com", Scheme: "https", Protocol: "HTTP/2", Size: int64(len(a.body)),
			Headers: check.Headers{{Name: "x-forwarded-proto", Value: "https"}, {Name: "idempotency-key", Value: "k"}},
		},
		Client: check.Client{IP: "192.0.2.1", IPBlock: "192.0.2.1", Scheme: "https"},
	}
	var fault *check.Fault
	if r.Path, fault = check.ParsePath(path); fault != nil {
		t.Fatal(fault)
	}
	if r.Query, fault = check.ParseQuery(query); fault != nil {
		t.Fatal(fault)
	}
	if a.body != "" {
		r.HTTP.Headers = append(r.HTTP.Headers,
			check.Header{Name: "content-type", Value: a.kind}, check.Header{Name: "content-length", Value: strconv.Itoa(len(a.body))})
		if r.Body, fault = check.ParseBody(check.BodyInput{Headers: r.HTTP.Headers, Body: a.body, Strict: true}); fault != nil {
			t.Fatal(fault)
		}
	}
	if a.scopes == "-" {
		return r, &check.Token{Status: check.TokenAbsent}
	}
	return r, &check.Token{
		Status: check.TokenValid, Via: "header", Issuer: "https://issuer.example.com", Subject: "ann",
		Scopes: strings.Fields(a.scopes), Claims: map[string]any{"sub": "ann"},
	}
}

// What the document says is what the library decides.
func TestDecisions(t *testing.T) {
	const pets, order = "/api/v3/pet", "/api/v3/store/order/"
	const uuid = "6f1f7a6e-9c3f-4b53-8a2f-77d1a3c0f9b4"
	const all = "read:pets write:pets"
	const issue = "/api/repos/ann/tool/issues"
	const customer = "/v1/customers/" + uuid
	for document, asks := range map[string][]ask{
		"petstore": {
			{"GET", "/api/v3/health", "-", "", "", "200"},
			{"GET", "/health", "-", "", "", "404 route_unknown"},
			{"DELETE", "/api/v3/health", "-", "", "", "405 method_unknown"},
			{"GET", "/api/v3/health?x=1", "-", "", "", "422 input_additionalProperties"},
			{"GET", pets + "/12", "-", "", "", "401 token_absent"},
			{"GET", pets + "/12", "read:pets", "", "", "200"},
			{"GET", pets + "/0", "read:pets", "", "", "422 input_minimum"},
			{"GET", pets + "/rex", "read:pets", "", "", "404 route_unknown"},
			{"DELETE", pets + "/12", "read:pets", "", "", "403 scope_missing"},
			{"DELETE", pets + "/12", all, "", "", "200"},
			{"GET", pets + "/findByStatus?status=sold", "read:pets", "", "", "200"},
			{"GET", pets + "/findByStatus", "read:pets", "", "", "422 input_required"},
			{"GET", pets + "/findByStatus?status=eaten", "read:pets", "", "", "422 input_enum"},
			{"GET", pets + "/findByStatus?status=sold&limit=100", "read:pets", "", "", "200"},
			{"GET", pets + "/findByStatus?status=sold&limit=101", "read:pets", "", "", "422 input_maximum"},
			{"GET", pets + "/findByStatus?status=sold&limit=ten", "read:pets", "", "", "422 input_type"},
			{"GET", pets + "/findByTags?tags=a&tags=b", "read:pets", "", "", "200"},
			{"GET", pets + "/findByTags?tags=a&tags=B", "read:pets", "", "", "422 input_pattern"},
			{"POST", pets, all, jsonType, `{"name":"rex","photoUrls":["https://example.com/1.png"]}`, "200"},
			{"POST", pets, all, jsonType, `{"id":1,"name":"rex","photoUrls":[]}`, "422 input_additionalProperties"},
			{"POST", pets, all, jsonType, `{"name":"rex","photoUrls":["no uri"]}`, "422 input_format"},
			{"POST", pets, all, jsonType, `{"name":"rex","photoUrls":[],"tags":[{"name":"x","colour":"y"}]}`, "422 input_additionalProperties"},
			{"POST", pets, all, formType, `name=rex`, "415 content_type"},
			{"POST", pets + "/12", all, formType, `name=rex&vaccinated=true`, "200"},
			{"POST", pets + "/12", all, formType, `name=rex&vaccinated=maybe`, "422 input_type"},
			{"POST", pets + "/12", all, formType, `name=`, "422 input_minLength"},
			{"POST", "/api/v3/store/order", "-", jsonType, `{"petId":1,"quantity":2147483648}`, "422 input_maximum"},
			{"POST", "/api/v3/store/order", "-", formType, `petId=1&quantity=2`, "200"},
			{"GET", order + uuid, "-", "", "", "200"},
			{"GET", order + "17", "-", "", "", "404 route_unknown"},
			{"DELETE", order + uuid, "write:pets", jsonType, `{}`, "422 input_forbidden"},
			{"GET", "/api/v3/store/inventory", all, "", "", "403 route_unguarded"},
			{"DELETE", "/api/v3/user/ann", all, "", "", "403 route_unguarded"},
			{"GET", "/api/v3/user/ann", "", "", "", "200"},
		},
		"issues": {
			{"GET", "/api/", "-", "", "", "200"},
			{"GET", "/api/user", "", "", "", "200"},
			{"PATCH", "/api/user", "user", jsonType, `{"blog":null,"hireable":null}`, "200"},
			{"PATCH", "/api/user", "user", jsonType, `{"email":null}`, "422 input_type"},
			{"PATCH", "/api/user", "user", jsonType, `{}`, "422 input_minProperties"},
			{"GET", issue + "?state=open&page=1", "-", "", "", "200"},
			{"GET", issue + "?page=0", "-", "", "", "422 input_exclusiveMinimum"},
			{"POST", issue, "repo", jsonType, `{"title":7,"labels":["a",{"name":"b","color":null}]}`, "200"},
			{"POST", issue, "repo", jsonType, `{"title":"x","milestone":null}`, "200"},
			{"POST", issue, "repo", jsonType, `{"title":"x","labels":[{"color":"ffffff"}]}`, "422 input_oneOf input_required"},
			{"POST", issue, "admin", jsonType, `{"title":"x"}`, "403 scope_missing"},
			{"PATCH", issue + "/7", "repo", jsonType, `{"title":"x","state":"closed","state_reason":null}`, "200"},
			{"PATCH", issue + "/7", "repo", jsonType, `{"number":7}`, "422 input_additionalProperties"},
			{"PATCH", issue + "/7", "repo", "", "", "200"}, // the body is optional
			{"POST", issue, "repo", "", "", "400 body_missing"},
			{"PUT", issue + "/7/lock", "repo", jsonType, `{"lock_reason":"spam"}`, "200"},
			{"GET", issue + "/comments/9", "repo", "", "", "200"},
			{"GET", "/api/repos/ann/tool/compare/a...b", "repo", "", "", "404 route_unknown"},
			{"POST", "/api/projects/" + uuid + "/cards", "repo", jsonType, `{"note":"a","children":[{"note":"b","children":[{"note":"c"}]}]}`, "200"},
			{"POST", "/api/projects/" + uuid + "/cards", "repo", jsonType, `{"note":"a","children":[{"note":"b","children":[{}]}]}`, "422 input_required"},
			{"GET", "/api/admin/stats", "admin", "", "", "403 route_unguarded"},
		},
		"payments": {
			{"GET", "/status", "-", "", "", "200"},
			{"HEAD", "/status", "-", "", "", "200"},
			{"GET", "/v1/account", "-", "", "", "401 token_absent"},
			{"GET", "/v1/charges?created[gte]=5&limit=3", "", "", "", "200"},
			{"GET", "/v1/charges?created[gte]=now", "", "", "", "422 input_type"},
			{"GET", "/v1/charges?created[eq]=5", "", "", "", "422 input_additionalProperties"},
			{"POST", "/v1/charges", "", formType, "amount=5&currency=eur&metadata[a]=b&shipping[name]=Ann", "200"},
			{"POST", "/v1/charges", "", formType, "amount=0&currency=eur", "422 input_exclusiveMinimum"},
			{"POST", "/v1/charges", "", formType, "amount=5&currency=eur&order[a]=b", "422 input_additionalProperties"},
			{"GET", "/v1/charges/ch_1", "", "", "", "200"},
			{"GET", "/v1/charges/1", "", "", "", "422 input_pattern"},
			{"POST", "/v1/customers", "", jsonType, `{"email":null,"address":{"line1":"a","line2":null}}`, "200"},
			{"POST", "/v1/customers", "", jsonType, `{"address":{"line2":"a"}}`, "422 input_required"},
			{"PATCH", customer, "", jsonType, `{}`, "422 input_minProperties"},
			{"PATCH", customer, "", jsonType, `{"email":"ann@example.com"}`, "200"},
			{"DELETE", customer, "owner", "", "", "403 role_missing"},
			{"POST", customer + "/sources", "", jsonType, `{"object":"card","number":"4242424242424242"}`, "200"},
			{"POST", "/v1/price_rules", "", jsonType, `{"all":[{"field":"a","is":1},{"all":[{"field":"b","is":true}]}]}`, "200"},
			{"POST", "/v1/tax/rates", "", jsonType, `{"display_name":"VAT","percentage":19.5}`, "200"},
			{"POST", "/v1/tax/rates", "", jsonType, `{"display_name":"x","percentage":1,"country":"US"}`, "422 input_condition_then input_required"},
			{"POST", "/v1/tax/rates", "", jsonType, `{"display_name":"x","percentage":1,"state":"NY"}`, "422 input_dependencies"},
			{"POST", "/v1/webhook_endpoints", "", jsonType, `{"url":"https://a.example/","enabled_events":["*"]}`, "200"},
			{"POST", "/oauth/token", "-", formType, "grant_type=refresh_token&anything=else", "200"},
		},
	} {
		text, err := imported(t, document, openapi.Options{}).YAML()
		if err != nil {
			t.Fatal(err)
		}
		e := engine(t, text)
		for _, a := range asks {
			r, token := a.request(t)
			result, err := e.Eval(t.Context(), r, token)
			if err != nil {
				t.Fatalf("%s %s: %v", a.method, a.target, err)
			}
			got := "200"
			if !result.Allowed {
				got = strings.TrimSpace(strconv.Itoa(result.Status) + " " + strings.Join(result.Reasons, " "))
			}
			if got != a.want {
				t.Errorf("%s: %s %s %s: %s, want %s", document, a.method, a.target, a.body, got, a.want)
			}
		}
	}
}
