package policy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

var update = flag.Bool("update", false, "write capabilities.json anew")

// contract: a policy has no clock of its own, no network, no host. threats.md,
// Engine: http.send, opa.runtime and net.lookup_ip_addr are off unless
// configured.
//
// The file is everything OPA has but those three. When an OPA upgrade fails this
// test, read what is new before running it with -update.
func TestCapabilitiesFile(t *testing.T) {
	caps := ast.CapabilitiesForThisVersion(ast.CapabilitiesRegoVersion(ast.RegoV1))
	caps.Builtins = slices.DeleteFunc(slices.Clone(caps.Builtins), func(b *ast.Builtin) bool {
		return slices.Contains([]string{"http.send", "opa.runtime", "net.lookup_ip_addr"}, b.Name)
	})
	want := capabilitiesText(t, caps)
	if *update {
		if err := os.WriteFile("capabilities.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := CapabilitiesJSON(); !bytes.Equal(got, want) {
		t.Errorf("capabilities.json is not OPA's list without the withheld built-ins: %d bytes, want %d", len(got), len(want))
	}
}

// capabilitiesText writes one built-in a line, so that a diff can be read, and
// allow_net even when empty: its absence would mean every host.
func capabilitiesText(t *testing.T, caps *ast.Capabilities) []byte {
	t.Helper()
	line := func(x any) string {
		text, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var builtins []string
	for _, b := range caps.Builtins {
		builtins = append(builtins, "    "+line(b))
	}
	return fmt.Appendf(nil, "{\n  \"allow_net\": [],\n  \"features\": %s,\n  \"future_keywords\": %s,\n  \"wasm_abi_versions\": [],\n  \"builtins\": [\n%s\n  ]\n}\n",
		line(caps.Features), line(caps.FutureKeywords), strings.Join(builtins, ",\n"))
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
