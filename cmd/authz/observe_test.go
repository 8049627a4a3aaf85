package main

import (
	"slices"
	"testing"

	"authz/internal/authz"
	"authz/internal/ops"
)

func TestQuotaOutcomes(t *testing.T) {
	both := []authz.QuotaState{{Name: "api"}, {Name: "login"}}
	for _, c := range []struct {
		name string
		o    authz.Observation
		want []string
	}{
		{"no quota", authz.Observation{}, nil},
		{"both hold", authz.Observation{Quotas: both}, []string{"api allowed", "login allowed"}},
		{"one refuses, and the other is not charged", authz.Observation{Quotas: both, Spent: "login"}, []string{"login limited"}},
		{"in shadow", authz.Observation{Quotas: both[:1], Shadows: []authz.ShadowState{{Name: "a", Passed: true}, {Name: "b"}, {Name: "c", Lost: true}}},
			[]string{"api allowed", "a shadow_allowed", "b shadow_limited", "c shadow_lost"}},
	} {
		var got []string
		quotaOutcomes(&c.o, func(name string, outcome ops.QuotaOutcome) { got = append(got, name+" "+string(outcome)) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
