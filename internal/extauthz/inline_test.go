package extauthz

import (
	"bytes"
	"strings"
	"testing"

	"authz/internal/authz"
	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

// inlined is a server whose Quick gives d, or no answer.
func inlined(t *testing.T, quick Quick) *Server {
	t.Helper()
	s, err := NewServer(Config{Fail: (&records{}).fail, Quick: quick, Transport: TransportLean}, allowed, silent)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An answer given on the spot is the one that the long way gives, and nothing of it
// is left in the message's memory.
func TestInlineAnswers(t *testing.T) {
	quick := func(r *check.Request, _ *authz.Space) (*authz.Decision, bool) {
		return &authz.Decision{Outcome: authz.Denied, ID: "d", RequestID: r.ID, Spent: -1, Headers: []h{{Name: "x-path", Value: strings.Clone(r.HTTP.Path)}}}, true
	}
	s := inlined(t, quick)
	for _, path := range []string{"/first", "/second/longer", "/3"} {
		message := encoded(httpCheck("GET", path, map[string]string{"x-request-id": "r" + path[1:2], "accept": "a/b"}))
		reply, ok := s.inline(message, address{}, []byte("before"))
		if !ok {
			t.Fatal("no answer")
		}
		for i := range message { // the read buffer is used again
			message[i] = 0xff
		}
		reply, found := bytes.CutPrefix(reply, []byte("before"))
		var got authv3.CheckResponse
		if err := proto.Unmarshal(reply, &got); err != nil || !found {
			t.Fatalf("%v, %v", found, err)
		}
		denied := got.GetDeniedResponse()
		if denied.GetHeaders()[0].GetHeader().GetValue() != path || !strings.Contains(denied.GetBody(), `"request_id":"r`+path[1:2]+`"`) {
			t.Errorf("%s: %v", path, denied)
		}
	}
}

// Everything that is not plain takes the long way, and Quick is not asked.
func TestInlineLeaves(t *testing.T) {
	asked := false
	s := inlined(t, func(*check.Request, *authz.Space) (*authz.Decision, bool) {
		asked = true
		return nil, false
	})
	for name, message := range map[string][]byte{
		"no check at all":       {0xff},
		"an ambiguous path":     encoded(httpCheck("GET", "/a/../b", nil)),
		"an unusual check":      encoded(parse(t, `attributes{source{address{pipe{path:"/s"}}} request{http{method:"GET" path:"/" host:"a" scheme:"http"}}}`)),
		"a header in two forms": encoded(httpCheck("GET", "/", map[string]string{"a": "1", "A": "2"})),
	} {
		if reply, ok := s.inline(message, address{}, nil); ok || reply != nil || asked {
			t.Errorf("%s: answered %v, asked %v", name, ok, asked)
		}
	}
	if _, ok := s.inline(encoded(httpCheck("GET", "/", nil)), address{}, nil); ok || !asked {
		t.Errorf("nothing at hand: answered %v, asked %v", ok, asked)
	}
}

// A panic leaves the check to Decide; an answer that can't be sent is a 500.
func TestInlineFailures(t *testing.T) {
	s := inlined(t, func(*check.Request, *authz.Space) (*authz.Decision, bool) { panic("boom") })
	if _, ok := s.inline(encoded(httpCheck("GET", "/", nil)), address{}, nil); ok {
		t.Error("an answer after a panic")
	}
	s = inlined(t, func(*check.Request, *authz.Space) (*authz.Decision, bool) {
		return &authz.Decision{Outcome: authz.Allowed, Spent: -1, Headers: []h{{Name: "x", Value: "a\nb"}}}, true
	})
	reply, ok := s.inline(encoded(httpCheck("GET", "/", nil)), address{}, nil)
	var got authv3.CheckResponse
	if err := proto.Unmarshal(reply, &got); !ok || err != nil || got.GetDeniedResponse().GetStatus().GetCode() != 500 {
		t.Errorf("%v, %v: %v", ok, err, &got)
	}
}

func BenchmarkInline(b *testing.B) {
	d := authz.Decision{Outcome: authz.Allowed, ID: "5132ebe8-38c4-4646-9b9e-372a4d9f665d", Spent: -1}
	s, err := NewServer(Config{Fail: (&records{}).fail, Quick: func(*check.Request, *authz.Space) (*authz.Decision, bool) { return &d, true }}, allowed, silent)
	if err != nil {
		b.Fatal(err)
	}
	message := encoded(httpCheck("GET", "/orders/3f1e0f2c-6d1c-4b52-9c43-0a4e2f5f3b11", map[string]string{"authorization": "Bearer " + strings.Repeat("e", 700), "accept": "a/b"}))
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.inline(message, address{}, out); !ok {
			b.Fatal("no answer")
		}
	}
}
