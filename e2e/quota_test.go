package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A quota of three an hour: three pass with what is left, the fourth gets 429, and no
// header of the client's resets it.
func TestQuota(t *testing.T) {
	_, envoy := own(t, config("e2e/testdata/policy"))
	for i := range 3 {
		got := send(t, envoy, request{target: "/few", headers: []string{fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i)}})
		if got.Status != 200 {
			t.Fatalf("request %d: got %d: %s", i+1, got.Status, got.Body)
		}
		if v := got.Header.Get("RateLimit-Policy"); v != `"few";q=3;w=3600` {
			t.Errorf("RateLimit-Policy: %s", v)
		}
		if want := fmt.Sprintf(`^"few";r=%d;t=\d+$`, 2-i); !regexp.MustCompile(want).MatchString(got.Header.Get("RateLimit")) {
			t.Errorf("RateLimit: %s, want %s", got.Header.Get("RateLimit"), want)
		}
	}
	for i := range 3 {
		world.app.Forget()
		got := send(t, envoy, request{target: "/few", headers: []string{fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i), "X-Real-IP: 203.0.113.9"}})
		wantLimited(t, got)
		if got.Header.Get("X-After") != "allow" {
			t.Error("the 429 lacks the decision's response_headers_to_add")
		}
		if len(world.app.Seen()) != 0 {
			t.Error("the app was reached")
		}
	}
}

func wantLimited(t *testing.T, a answer) {
	t.Helper()
	wantRefused(t, a, 429)
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 3600 {
		t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
	}
}

// charge: denied. Successes are free; failures use the quota up, and then the door is
// closed for both.
func TestQuotaOfFailures(t *testing.T) {
	_, envoy := own(t, config("e2e/testdata/policy"))
	login := func(good string) answer {
		return send(t, envoy, request{method: "POST", target: "/login?good=" + good})
	}
	for range 5 {
		if got := login("yes"); got.Status != 200 {
			t.Fatalf("a success: got %d", got.Status)
		}
	}
	for i := range 3 {
		if got := login("no"); got.Status != 401 {
			t.Fatalf("failure %d: got %d, want 401", i+1, got.Status)
		}
	}
	wantLimited(t, login("no"))
	wantLimited(t, login("yes"))
}

// A quota in shadow: the client and the app never learn of it, the log does.
func TestQuotaInShadow(t *testing.T) {
	sidecar, envoy := own(t, config("e2e/testdata/policy"))
	for i := range 3 {
		world.app.Forget()
		got := send(t, envoy, request{target: "/trial", headers: []string{fmt.Sprintf("X-Request-Id: trial-%d", i+1)}})
		if got.Status != 200 || len(world.app.Seen()) != 1 {
			t.Fatalf("request %d: got %d: %s", i+1, got.Status, got.Body)
		}
		for _, name := range []string{"RateLimit", "RateLimit-Policy", "Retry-After"} {
			if v := got.Header.Get(name); v != "" {
				t.Errorf("request %d: the client is told %s: %s", i+1, name, v)
			}
		}
	}
	var over []bool
	_, err := sidecar.Log().Wait(t.Context(), func(line string) bool {
		if strings.Contains(line, `"msg":"decision"`) {
			over = append(over, strings.Contains(line, `"reasons":["shadow_quota_trial"]`))
		}
		return len(over) == 3
	})
	if err != nil || over[0] || over[1] || !over[2] {
		t.Errorf("over the limit as recorded: %v, want the third alone (%v)", over, err)
	}
	for outcome, want := range map[string]float64{"shadow_allowed": 2, "shadow_limited": 1, "allowed": 0, "limited": 0} {
		got, err := sidecar.Metric(t.Context(), `authz_quota_requests_total{outcome="`+outcome+`",quota="trial"}`)
		if err != nil || got != want {
			t.Errorf("metrics count %v requests as %s, want %v (%v)", got, outcome, want, err)
		}
	}
}

// The older headers where they are configured: beside the standard ones, the same
// numbers, on an allow and on a 429.
func TestLegacyQuotaHeaders(t *testing.T) {
	_, envoy := own(t, config("e2e/testdata/policy")+"quotas: {legacy_headers: true}\n")
	for i := range 4 {
		got := send(t, envoy, request{target: "/few"})
		if want := map[bool]int{true: 429, false: 200}[i == 3]; got.Status != want {
			t.Fatalf("request %d: got %d, want %d", i+1, got.Status, want)
		}
		standard := regexp.MustCompile(`^"few";r=(\d+);t=(\d+)$`).FindStringSubmatch(got.Header.Get("RateLimit"))
		if standard == nil {
			t.Fatalf("RateLimit: %q", got.Header.Get("RateLimit"))
		}
		for name, want := range map[string]string{"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": standard[1], "X-RateLimit-Reset": standard[2]} {
			if v := got.Header.Get(name); v != want {
				t.Errorf("request %d: %s: %q, want %q", i+1, name, v, want)
			}
		}
		if want := strconv.Itoa(max(2-i, 0)); standard[1] != want {
			t.Errorf("request %d: %s left, want %s", i+1, standard[1], want)
		}
	}
}
