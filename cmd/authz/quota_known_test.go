package main

import (
	"slices"
	"strings"
	"testing"
)

// What is doubtful about a key is told only if it is.
func TestQuotaDoubts(t *testing.T) {
	known := knownLimits{"address": "address"}
	known.add("", map[string]any{"user": map[string]any{"by": "user"}, "all": map[string]any{"by": "everybody"}, "gone": nil, "address": map[string]any{"limit": 5}})
	known.add("login.", map[string]any{"tries": map[string]any{"limit": 5}})
	known.add("free.", false)
	if want := []string{"address", "all", "login.tries", "user"}; !slices.Equal(known.names(), want) {
		t.Fatalf("known: %q, want %q", known.names(), want)
	}
	if known.add("", map[string]any{"all": false}); known["all"] != "" {
		t.Error("a limit that is taken away is known")
	}
	for _, c := range []struct {
		name, key, want string
	}{
		{"address", "address 192.0.2.7", ""},
		{"login.tries", "address 2001:db8:1:2::/64", ""},
		{"user", "user https://id.example.com alice", ""},
		{"user", "address 192.0.2.7", ""},
		{"login.tires", "address 192.0.2.7", "did you mean login.tries?"},
		{"address", "192.0.2.7", "address counts by address: --key address --key ADDRESS"},
		{"user", "user alice", "user counts by user: --key user --key ISSUER --key SUBJECT"},
		{"address", "address 2001:db8:1:2::3", "addresses are counted as --key 2001:db8:1:2::/64"},
		{"address", "address ::ffff:192.0.2.7", "addresses are counted as --key 192.0.2.7"},
	} {
		got := known.doubt(c.name, strings.Fields(c.key))
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %q, want %q", c.name, c.key, got, c.want)
		}
	}
	if got := (knownLimits{}).doubt("a", []string{"k"}); got != "" {
		t.Errorf("where nothing is known: %q", got)
	}
}
