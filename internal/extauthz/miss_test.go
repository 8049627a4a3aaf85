package extauthz

import (
	"io"
	"testing"
	"time"
)

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
