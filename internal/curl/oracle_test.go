package curl

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The same words to a real curl, where there is one, and to Parse: the server gets
// the same request. Headers are compared without order; the version in User-Agent is
// curl's own.
func TestAgainstCurl(t *testing.T) {
	program, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl here to compare with")
	}
	received := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		lines := []string{}
		for name, values := range r.Header {
			for _, value := range values {
				if strings.HasPrefix(value, "curl/") {
					value = userAgent
				}
				lines = append(lines, strings.ToLower(name)+": "+value)
			}
		}
		received <- summary(r.Method, r.Host, r.RequestURI, lines, body)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	for name, content := range files {
		if name != "-" {
			if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, line := range []string{
		"URL", "URL/x?y=1", "URL?q", "URL/a/../b/./c", "URL/a/..", "URL/a/b/../../../c/", "--path-as-is URL/a/../b", "-g URL/{x}[1-2]", "URL/x#top",
		"-X DELETE URL/x", "-XPATCH URL/x", "-I URL/x", "-sXPUT URL/x",
		"-H 'X-A: 1' -H X-A:2 URL/", "-H 'Host: b.test' URL/", "-H 'Accept: text/html' URL/", "-H 'Accept:' -H 'X-Empty;' URL/", "-H @headers URL/",
		"-A me -e https://b.test/ URL/", "-b a=1 -b b=2 URL/", "-u alice:pw URL/", "--oauth2-bearer t0k URL/",
		"-d a=1 -d b=2 URL/", "-da=1 URL/", "-X PUT --data-raw @x URL/", "-d @body.json URL/", "--data-binary @body.json URL/",
		"--data-urlencode 'q=a b&c' URL/", "--data-urlencode q@text URL/", "--data-urlencode =a=b URL/", "--json {} URL/", "--json @body.json URL/",
		"-d {} -H 'Content-Type: application/json' URL/", "-G -d a=1 -d b=2 URL/x", "-G -d a=1 URL/x?b=2", "-G -I -d a=1 URL/x", "-d '' URL/",
		"-d a=1 -H Content-Type: URL/",
	} {
		t.Run(line, func(t *testing.T) {
			list := words(strings.ReplaceAll(line, "URL", server.URL))
			list = slices.DeleteFunc(list, func(s string) bool { return s == "" && !strings.Contains(line, "''") })
			cmd := exec.CommandContext(t.Context(), program, append([]string{"-s", "--noproxy", "*"}, list...)...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("this curl does not take it: %v %s", err, out)
			}
			var want string
			select {
			case want = <-received:
			default:
				t.Fatal("the request of curl did not get to the server")
			}
			r, err := Parse(list, func(name string) ([]byte, error) { return os.ReadFile(dir + "/" + name) })
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, h := range r.Headers {
				lines = append(lines, h.Name+": "+h.Value)
			}
			if got := summary(r.Method, r.Host, r.Target, lines, r.Body); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func summary(method, host, target string, lines []string, body []byte) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		host = "(the server)"
	}
	slices.Sort(lines)
	return strings.Join(append([]string{method + " " + host + " " + target}, lines...), "\n") + "\n\n" + string(body)
}
