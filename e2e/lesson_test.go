package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"authz/internal/testbed"
)

// docs/policies.md is a lesson that a reader follows at a terminal, and so does this
// test, from top to bottom, in one shell:
//
//	```sh         each line is run; all must succeed
//	```console    each command after $ is run and must succeed, and prints what
//	              follows it; "…" stands for anything, alone on a line for any lines
//	```yaml FILE  is written to FILE; with >> FILE it is added at its end
//
// What a reader has to have of his own (an issuer, a token, Envoy and an app) is put
// in its place.
func TestLessonOnPolicies(t *testing.T) {
	for _, tool := range []string{"make", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on PATH", tool)
		}
	}
	dir := t.TempDir()
	envoy, err := testbed.StartEnvoy(ctx, testbed.EnvoyOptions{Sidecar: filepath.Join(dir, "desk", "authz.sock"), App: world.app.Addr,
		Edits: append(patience(), testbed.Edit{Path: testbed.HCM + ".xff_num_trusted_hops", Value: 1})})
	if err != nil {
		t.Fatal(err)
	}
	defer envoy.Stop()
	token := world.main.Token(map[string]any{"aud": "https://api.example.com", "sub": "ann", "roles": []string{"agent"}, "exp": time.Now().Add(time.Hour).Unix()})
	follow(t, "../docs/policies.md", dir, strings.NewReplacer(
		"https://id.example.com/", world.main.URL, "TOKEN=eyJ…", "TOKEN="+token,
		"http://127.0.0.1:8080", envoy.URL, "127.0.0.1:9901", unusedAddress(t)))
}

// follow does what a document says, in dir.
func follow(t *testing.T, document, dir string, own *strings.Replacer) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	sh := openTerminal(t, dir)
	for _, b := range blocks(string(text)) {
		at := fmt.Sprintf("%s:%d", document, b.line)
		b.text = own.Replace(b.text)
		switch {
		case b.language == "sh":
			for _, s := range steps(b.text, "") {
				sh.do(t, at, s)
			}
		case b.language == "console":
			for _, s := range steps(b.text, "$ ") {
				if printed := sh.do(t, at, s); !s.prints(printed) {
					t.Fatalf("%s: %s\nprinted:\n%s\ntold:\n%s", at, s.command, printed, s.told)
				}
			}
		case b.file != "":
			sh.do(t, at, step{command: fmt.Sprintf("cat %s %s <<'END OF BLOCK'\n%sEND OF BLOCK", b.into, b.file, b.text)})
		default:
			t.Fatalf("%s: a block that nobody tries", at)
		}
	}
}

// block is a fenced block. Its fence may name a file after the language.
type block struct {
	line                 int
	language, into, file string // into is > or >>
	text                 string
}

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

func blocks(document string) (all []block) {
	for _, m := range fence.FindAllStringSubmatchIndex(document, -1) {
		b := block{line: 1 + strings.Count(document[:m[0]], "\n"), text: document[m[4]:m[5]], into: ">"}
		b.language, b.file, _ = strings.Cut(document[m[2]:m[3]], " ")
		if file, adds := strings.CutPrefix(b.file, ">> "); adds {
			b.into, b.file = ">>", file
		}
		all = append(all, b)
	}
	return all
}

// step is a command and what it is told to print.
type step struct{ command, told string }

// steps takes a block apart. Without a prompt every line is a command.
func steps(text, prompt string) (all []step) {
	for line := range strings.Lines(text) {
		command, isCommand := strings.CutPrefix(line, prompt)
		if isCommand {
			all = append(all, step{command: strings.TrimSuffix(command, "\n")})
		} else if len(all) > 0 {
			all[len(all)-1].told += line
		}
	}
	return all
}

// Lines of the library move; that a rule is told with its file is enough.
var ruleLine = regexp.MustCompile(`(library/\S+\.rego):\d+`)

func (s step) prints(got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for line := range strings.Lines(ruleLine.ReplaceAllString(s.told, "$1")) {
		if line == "…\n" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	pattern.WriteString(`\z`)
	return regexp.MustCompile(pattern.String()).MatchString(ruleLine.ReplaceAllString(got, "$1"))
}

// terminal is a shell that runs one command after the other.
type terminal struct {
	in  io.Writer
	out *bufio.Reader
}

func openTerminal(t *testing.T, dir string) *terminal {
	t.Helper()
	authz, err := testbed.SidecarBinary()
	if err != nil {
		t.Fatal(err)
	}
	opa, err := exec.Command("go", "tool", "-n", "opa").Output()
	if err != nil {
		t.Fatal("finding opa:", err)
	}
	bin := t.TempDir()
	for name, path := range map[string]string{"authz": authz, "opa": strings.TrimSpace(string(opa))} {
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	cmd := exec.CommandContext(ctx, "sh")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=", "LC_ALL=C.UTF-8",
		"AUTHZ_POLICY_TIMEOUT=2s", "AUTHZ_LISTEN_CHECK_TIMEOUT=4s", // the race detector is slow
		"AUTHZ_POLICY_CACHE_SIZE=0") // what is printed is that of the defaults
	// A group of its own: what the document leaves running ends with the shell.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, printed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	printed.Close()
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		out.Close()
	})
	return &terminal{in: in, out: bufio.NewReader(out)}
}

// do runs a command, which must succeed, and returns what it printed.
func (sh *terminal) do(t *testing.T, at string, s step) string {
	t.Helper()
	const end = "--- exit code "
	fmt.Fprintf(sh.in, "{ %s\n} </dev/null\nprintf '\\n%s%%d\\n' $?\n", s.command, end)
	var printed bytes.Buffer
	for {
		line, err := sh.out.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %s\nprinted:\n%s%s\nand then: %v", at, s.command, &printed, line, err)
		}
		if code, ended := strings.CutPrefix(line, end); ended {
			if code != "0\n" {
				t.Fatalf("%s: %s\nexit code %sprinted:\n%s", at, s.command, code, &printed)
			}
			text := printed.String() // with the line break that printf began with
			if text = strings.TrimSuffix(text, "\n"); text != "" && !strings.HasSuffix(text, "\n") {
				text += "\n"
			}
			return text
		}
		printed.WriteString(line)
	}
}

// unusedAddress is one where nobody listens now. The kernel hands out higher ports
// by itself, so nobody will by chance.
func unusedAddress(t *testing.T) string {
	t.Helper()
	for port := 20000 + os.Getpid()%10000; port < 32768; port++ {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port below the kernel's")
	return ""
}
