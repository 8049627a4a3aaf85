package extauthz

import (
	"io"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

// What an owner may do is remembered, whatever else the next token says: it has another
// jti and other times.
func TestOwnerIsRemembered(t *testing.T) {
	door := newBuilding(t, io.Discard)
	of := func(ttl time.Duration) []byte {
		return encoded(httpCheck("GET", "/people/ann", map[string]string{"authorization": "Bearer " + door.token(ttl, "viewer")}))
	}
	door.learned(t, of(time.Hour))
	before := door.policy.Status().Cache
	for n := range 3 {
		answer := door.answer(t.Context(), of(2*time.Hour+time.Duration(n)*time.Second), address{})
		var r authv3.CheckResponse
		if err := proto.Unmarshal(answer.bytes(), &r); err != nil || r.GetOkResponse() == nil {
			t.Fatalf("not allowed: %v, %v", &r, err)
		}
	}
	after := door.policy.Status().Cache
	if after.Misses != before.Misses || after.Hits != before.Hits+3 {
		t.Errorf("three tokens of one owner: %d decisions were given again and %d made, want 3 and 0", after.Hits-before.Hits, after.Misses-before.Misses)
	}
}

// A check whose token was never seen takes the long way, as one with a forged token does.
// The tokens are many more than are remembered.
func BenchmarkMiss(b *testing.B) {
	for _, forged := range []bool{false, true} {
		b.Run(map[bool]string{false: "token never seen", true: "bad signature"}[forged], func(b *testing.B) {
			door := build(b, io.Discard, "RS256", 64<<10)
			messages := make([][]byte, 200)
			for i := range messages {
				text := door.token(time.Hour+time.Duration(i)*time.Second, "viewer")
				if forged {
					text = text[:len(text)-20] + "AAAA" + text[len(text)-16:]
				}
				messages[i] = door.check("GET", i, time.Hour, "viewer", map[string]string{"authorization": "Bearer " + text})
			}
			for range 5 { // the decision is learned
				for _, m := range messages[190:] {
					door.answer(b.Context(), m, address{})
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; b.Loop(); n++ {
				message := messages[n%len(messages)]
				if _, ok := door.inline(message, address{}, nil); ok {
					b.Fatal("at hand")
				}
				door.answer(b.Context(), message, address{})
			}
		})
	}
}
