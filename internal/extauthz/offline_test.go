package extauthz

import (
	"reflect"
	"strings"
	"testing"

	"authz/internal/authz"
	"authz/internal/check"
)

// Both spellings of protobuf's JSON are read, and the request is the server's own.
func TestReadJSON(t *testing.T) {
	for _, text := range []string{
		`{"attributes": {"source": {"address": {"socketAddress": {"address": "192.0.2.7", "portValue": 4711}}},
			"request": {"http": {"method": "POST", "path": "/a%20b?x=1", "host": "a.test", "scheme": "https",
			"headers": {"content-type": "application/json"}, "rawBody": "e30="}}}}`,
		`{"attributes": {"source": {"address": {"socket_address": {"address": "192.0.2.7", "port_value": 4711}}},
			"request": {"http": {"method": "POST", "path": "/a%20b?x=1", "host": "a.test", "scheme": "https",
			"headers": {"content-type": "application/json"}, "raw_body": "e30="}}}}`,
	} {
		r, err := ReadJSON(Config{}, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := &check.Request{
			Source: check.Peer{Address: "192.0.2.7", Port: 4711},
			HTTP: check.HTTP{
				Method: "POST", Path: "/a%20b?x=1", Host: "a.test", Scheme: "https", RawBody: []byte("{}"),
				Headers: check.Headers{{Name: "content-type", Value: "application/json"}},
			},
			Path:   []string{"a b"},
			Query:  map[string][]string{"x": {"1"}},
			Body:   check.Body{Parsed: true, Value: map[string]any{}},
			Client: check.Client{IP: "192.0.2.7", IPBlock: "192.0.2.7", Scheme: "https"},
		}
		if !reflect.DeepEqual(r, want) {
			t.Errorf("got %+v\nwant %+v", r, want)
		}
	}
}

func TestReadJSONRefuses(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{`{"attributes": {"request": {"http": {"verb": "GET"}}}}`, `unknown field "verb"`},
		{`GET /`, "not a CheckRequest"},
	} {
		if _, err := ReadJSON(Config{}, []byte(row.text)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.text, err, row.want)
		}
	}
	r, err := ReadJSON(Config{}, []byte(`{"attributes": {"request": {"http": {"method": "GET", "path": "/a//b", "host": "a.test"}}}}`))
	if err != nil || r.Fault == nil || r.Fault.Code != "path_empty_segment" {
		t.Errorf("strict mode: %+v, %v", r, err)
	}
}

func TestStatus(t *testing.T) {
	for _, row := range []struct {
		d    authz.Decision
		want int
	}{
		{authz.Decision{Outcome: authz.Allowed}, 0},
		{authz.Decision{Outcome: authz.Denied}, 403},
		{authz.Decision{Outcome: authz.Denied, Status: 404}, 404},
		{authz.Decision{Outcome: authz.Malformed}, 400},
		{authz.Decision{Outcome: authz.Unavailable}, 503},
		{authz.Decision{}, 500},
	} {
		if got := Status(&row.d); got != row.want {
			t.Errorf("%v: %d, want %d", row.d.Outcome, got, row.want)
		}
	}
}
