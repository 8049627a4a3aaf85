package policy

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

var update = flag.Bool("update", false, "write capabilities.txt anew")

// contract: a policy has no clock of its own, no network, no host. threats.md,
// Engine: http.send, opa.runtime and net.lookup_ip_addr are off unless
// configured.
//
// The file is everything OPA has but those three. When an OPA upgrade fails this
// test, read what is new before running it with -update.
func TestCapabilitiesFile(t *testing.T) {
	caps := ast.CapabilitiesForThisVersion(ast.CapabilitiesRegoVersion(ast.RegoV1))
	var lines strings.Builder
	for _, name := range caps.Features {
		fmt.Fprintln(&lines, "feature", name)
	}
	for _, name := range caps.FutureKeywords {
		fmt.Fprintln(&lines, "keyword", name)
	}
	for _, b := range caps.Builtins {
		if !slices.Contains([]string{"http.send", "opa.runtime", "net.lookup_ip_addr"}, b.Name) {
			fmt.Fprintln(&lines, "builtin", b.Name)
		}
	}
	if *update {
		if err := os.WriteFile("capabilities.txt", []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if capabilitiesFile != lines.String() {
		t.Errorf("capabilities.txt is not OPA's list without the withheld built-ins:\n%s\nwant\n%s", capabilitiesFile, lines.String())
	}
}

// What a file does not list is off, whatever OPA has.
func TestCapabilitiesAreListed(t *testing.T) {
	caps := baseCapabilities()
	var lines strings.Builder
	for _, name := range caps.Features {
		fmt.Fprintln(&lines, "feature", name)
	}
	for _, name := range caps.FutureKeywords {
		fmt.Fprintln(&lines, "keyword", name)
	}
	for _, b := range caps.Builtins {
		fmt.Fprintln(&lines, "builtin", b.Name)
	}
	if lines.String() != capabilitiesFile {
		t.Errorf("on:\n%s\nlisted:\n%s", lines.String(), capabilitiesFile)
	}
	if len(caps.WasmABIVersions) > 0 {
		t.Errorf("WebAssembly: %v", caps.WasmABIVersions)
	}
}

func TestWithheldBuiltins(t *testing.T) {
	for _, row := range []struct {
		name       string
		allow, net []string
		wantOn     []string // of the withheld ones
		wantNet    []string
		wantErr    string
	}{
		{"nothing configured", nil, nil, nil, []string{}, ""},
		{"http.send, any host", []string{"http.send"}, nil, []string{"http.send"}, nil, ""},
		{"http.send, one host", []string{"http.send"}, []string{"a.test"}, []string{"http.send"}, []string{"a.test"}, ""},
		{"opa.runtime needs no host", []string{"opa.runtime"}, nil, []string{"opa.runtime"}, []string{}, ""},
		{"a name that is not withheld", []string{"http.sent"}, nil, nil, nil, `"http.sent" is not a built-in that is off`},
	} {
		t.Run(row.name, func(t *testing.T) {
			caps, err := newCapabilities(row.allow, row.net)
			if row.wantErr != "" {
				if err == nil || err.Error() != row.wantErr {
					t.Fatalf("error %v, want %s", err, row.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var on []string
			for _, b := range withheld {
				if caps.ContainsBuiltin(b.Name) {
					on = append(on, b.Name)
				}
			}
			if !slices.Equal(on, row.wantOn) {
				t.Errorf("on: %q, want %q", on, row.wantOn)
			}
			if !slices.Equal(caps.AllowNet, row.wantNet) || (caps.AllowNet == nil) != (row.wantNet == nil) {
				t.Errorf("allow_net: %#v, want %#v", caps.AllowNet, row.wantNet)
			}
		})
	}
}
