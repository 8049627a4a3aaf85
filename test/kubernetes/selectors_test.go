package main

import (
	"strings"
	"testing"
)

const workload = `
kind: Deployment
metadata: { name: web }
spec: { template: { metadata: { labels: { app: web, tier: front } } } }
---
`

func TestSelects(t *testing.T) {
	for _, c := range []struct{ name, manifest, fault string }{
		{"a Service", `{ kind: Service, metadata: { name: s }, spec: { selector: { app: web } } }`, ""},
		{"a NetworkPolicy", `{ kind: NetworkPolicy, metadata: { name: n }, spec: { podSelector: { matchLabels: { tier: front } } } }`, ""},
		{"a NetworkPolicy for all", `{ kind: NetworkPolicy, metadata: { name: n }, spec: { podSelector: {} } }`, ""},
		{"a budget", `{ kind: PodDisruptionBudget, metadata: { name: b }, spec: { selector: { matchLabels: { app: web } } } }`, ""},
		{"a Service of nobody", `{ kind: Service, metadata: { name: s }, spec: { selector: { app: shop } } }`, "Service s"},
		{"half a match", `{ kind: NetworkPolicy, metadata: { name: n }, spec: { podSelector: { matchLabels: { app: web, tier: back } } } }`, "NetworkPolicy n"},
		{"a budget of nobody", `{ kind: PodDisruptionBudget, metadata: { name: b }, spec: { selector: { matchLabels: { app: shop } } } }`, "PodDisruptionBudget b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			count, err := selects(workload + c.manifest)
			switch {
			case c.fault == "" && (err != nil || count != 1):
				t.Errorf("counted %d: %v", count, err)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("want a fault of %s, got %v", c.fault, err)
			}
		})
	}
}
