package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"

	"authz/internal/check"
)

// knownLimits are the limits that the data of the policy library names, each with what
// it counts by. Quotas of a policy of one's own are not among them: they are known when
// a decision has them.
type knownLimits map[string]string

// knownQuotas asks the policies of a configuration. Where they can't be had, nothing is
// known: what is told with it are hints.
func knownQuotas(ctx context.Context, c *Config) knownLimits {
	known := knownLimits{}
	engine, err := newEngine(c, slog.New(slog.DiscardHandler))
	if err != nil || !c.Policy.Library || engine.Load(ctx) != nil {
		return known
	}
	known["address"] = "address" // the library's default
	general, _ := engine.Data(ctx, path.Join(path.Dir(c.Policy.Routes), "quotas", "limits"))
	known.add("", general)
	table, _ := engine.Data(ctx, c.Policy.Routes)
	rows, _ := table.(map[string]any)
	for id, row := range rows {
		if row, ok := row.(map[string]any); ok {
			known.add(id+".", row["quotas"])
		}
	}
	return known
}

// add notes limits as the data has them: null and false take one away.
func (known knownLimits) add(prefix string, data any) {
	limits, _ := data.(map[string]any)
	for name, limit := range limits {
		options, ok := limit.(map[string]any)
		if !ok {
			delete(known, prefix+name)
			continue
		}
		known[prefix+name] = "address"
		if by, ok := options["by"].(string); ok {
			known[prefix+name] = by
		}
	}
}

func (known knownLimits) names() []string { return slices.Sorted(maps.Keys(known)) }

// completions are the names as shells show them, with what each counts by.
func (known knownLimits) completions() []string {
	list := known.names()
	for i, name := range list {
		list[i] = name + "\tby " + known[name]
	}
	return list
}

// hint says what may be mistaken about a key that is not in the store.
func (s *quotaSubject) hint(ctx context.Context, w io.Writer) {
	// The store's time is up soon; policies may take longer to load.
	if text := knownQuotas(context.WithoutCancel(ctx), s.config).doubt(s.name, s.key); text != "" {
		fmt.Fprintln(w, "note: "+printable(text))
	}
}

func (known knownLimits) doubt(name string, key []string) string {
	if len(known) == 0 {
		return ""
	}
	by, ok := known[name]
	if !ok {
		return fmt.Sprintf("%s is no limit of the policies' data (%s)", name, suggest(name, known.names()))
	}
	form := map[string][]string{
		"address":   {"address", "ADDRESS"},
		"user":      {"user", "ISSUER", "SUBJECT"},
		"everybody": {"everybody"},
	}[by]
	anonymous := by == "user" && len(key) == 2 && key[0] == "address" // who has no token
	if form == nil || !anonymous && (len(key) != len(form) || key[0] != form[0]) {
		return fmt.Sprintf("%s counts by %s: --key %s", name, by, strings.Join(form, " --key "))
	}
	if last := key[len(key)-1]; key[0] == "address" {
		if client, _ := check.ParseClient(last, ""); client.IPBlock != "" && client.IPBlock != last {
			return "addresses are counted as --key " + client.IPBlock
		}
	}
	return ""
}
