package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A new project passes its own tests at once, with the opa that authz holds, and
// the sidecar takes it as it is.
func TestNewProject(t *testing.T) {
	opa, err := exec.Command("go", "tool", "-n", "opa").Output()
	if err != nil {
		t.Fatal("finding opa:", err)
	}
	dir := filepath.Join(t.TempDir(), "shop")
	if out, code := session("new", dir); code != exitFine || !strings.Contains(out, "make test") {
		t.Fatalf("authz new: exit code %d: %s", code, out)
	}
	t.Chdir(dir)
	test := func() (string, error) {
		out, err := exec.Command("make", "test", "OPA="+strings.TrimSpace(string(opa))).CombinedOutput()
		return string(out), err
	}
	// opa fmt, opa check --strict --schema, opa test
	if out, err := test(); err != nil || !strings.Contains(out, "PASS: 9/9") {
		t.Fatalf("make test: %v\n%s", err, out)
	}
	if out, code := session("validate", "--config", "authz.yaml"); code != exitFine || strings.Contains(out, "warning") || !strings.Contains(out, "5 route(s)") {
		t.Errorf("authz validate: exit code %d: %s", code, out)
	}
	if out, code := session("matrix", "--config", "authz.yaml"); code != exitFine || out != newMatrix {
		t.Errorf("authz matrix: exit code %d: got\n%s\nwant\n%s", code, out, newMatrix)
	}
	if out, code := session("new", "--refresh", "."); code != exitFine {
		t.Errorf("authz new --refresh: exit code %d: %s", code, out)
	}

	// Its tests are worth something: each of these makes one fail.
	for _, slip := range []struct{ file, old, new, failed string }{
		{"policies/app/app.rego", `"manager" in`, `"clerk" in`, "test_a_large_refund_takes_a_manager: FAIL"},
		{"policies/data.yaml", "bypass: [manager]", "bypass: [clerk]", "test_a_profile_is_its_owners_and_a_managers: FAIL"},
		{"policies/data.yaml", "refund_limit: 100", "refund_limit: 99", "test_a_clerk_refunds_small_amounts: FAIL"},
		{"policies/data.yaml", "manager: [clerk]", "manager: []", "test_a_manager_may_do_what_a_clerk_may: FAIL"},
		{"policies/data.yaml", "/orders/{id:uuid} ", "/orders/{id} ", "test_a_number_is_no_order: FAIL"},
		{"policies/app/app.rego", "input.parsed_body.amount)", "input.parsed_bdy.amount)", "rego_type_error"},
		{"policies/app/app.rego", "\tis_number", "  is_number", "policies/app/app.rego"},
	} {
		good, err := os.ReadFile(slip.file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(good, []byte(slip.old)) {
			t.Fatalf("%s: no %q", slip.file, slip.old)
		}
		overwrite(t, slip.file, strings.Replace(string(good), slip.old, slip.new, 1))
		if out, err := test(); err == nil || !strings.Contains(out, slip.failed) {
			t.Errorf("%s: %q for %q: want %q, got %v\n%s", slip.file, slip.new, slip.old, slip.failed, err, out)
		}
		overwrite(t, slip.file, string(good))
	}
}

// newMatrix is who may do what in a new project.
const newMatrix = `OPERATION                       ANONYMOUS  SIGNED IN  CLERK  MANAGER  INVALID TOKEN
GET /health                     allow      allow      allow  allow    401 a
GET /orders                     401 b      403 c      allow  allow    401 a
GET /orders/{id:uuid}           401 b      403 c      allow  allow    401 a
POST /orders/{id:uuid}/refunds  401 b      403 c      allow  allow    401 a
GET /users/{id:uuid} (own)      401 b      allow      allow  allow    401 a
GET /users/{id:uuid} (other's)  401 b      403 d      403 d  allow    401 a

a  token_invalid
b  token_absent
c  role_missing
d  not_owner
`

func session(args ...string) (string, int) {
	var out bytes.Buffer
	code := run(args, &out, &out)
	return out.String(), code
}

func overwrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
