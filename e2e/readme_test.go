package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"authz/internal/testbed"
)

// What the README says under "Use it" works as it stands, one command after the other.
// Only the build is left out: the program is there.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, use, found := strings.Cut(string(text), "\n## Use it\n")
	if !found {
		t.Fatal("README.md has no section Use it")
	}
	dir := t.TempDir()
	authz, err := testbed.SidecarBinary()
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := filepath.Abs("../envoy")
	if err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"bin/authz": authz, "envoy": shipped} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	sh := openTerminal(t, dir)
	ran := 0
	for _, s := range steps(blocks(use)[0].text, "") {
		command, _, _ := strings.Cut(s.command, "#")
		switch command = strings.TrimSpace(command); {
		case command == "make build":
		case strings.Contains(command, "authz run "):
			fields := strings.Fields(command)
			run := exec.Command(fields[0], append(fields[1:], "--ops.address", "127.0.0.1:0")...)
			run.Dir = strings.TrimSpace(sh.do(t, "README.md", step{command: "pwd"}))
			run.Path = filepath.Join(run.Dir, fields[0])
			p, err := testbed.Start("authz", run, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Log().Wait(t.Context(), func(line string) bool { return strings.Contains(line, "authz is up") }); err != nil {
				t.Error(err, p.Log())
			}
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
			ran++
		default:
			sh.do(t, "README.md", step{command: command})
			ran++
		}
	}
	if ran < 5 {
		t.Errorf("only %d commands were found", ran)
	}
}
