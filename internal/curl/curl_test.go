package curl

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var files = map[string]string{
	"body.json": "{\"a\":\r\n 1}\n",
	"-":         "from standard input",
	"photo.png": "\x89PNG",
	"headers":   "X-One: 1\r\nX-Two: 2\n",
	"text":      "a b&c\n",
}

func read(name string) ([]byte, error) {
	content, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("open %s: no such file", name)
	}
	return []byte(content), nil
}

// words splits at spaces, but not within single quotes.
func words(text string) []string {
	var out []string
	for i, quoted := range strings.Split(text, "'") {
		if i%2 == 1 {
			out = append(out, quoted)
		} else {
			out = append(out, strings.Fields(quoted)...)
		}
	}
	return out
}

// written is a request as it would be on the wire, less the line ends.
func written(r *Request) string {
	lines := []string{r.Method + " " + r.Scheme + "://" + r.Host + " " + r.Target}
	for _, h := range r.Headers {
		if h != (Header{"user-agent", userAgent}) && h != (Header{"accept", "*/*"}) {
			lines = append(lines, h.Name+": "+h.Value)
		}
	}
	if len(r.Body) > 0 {
		lines = append(lines, "", string(r.Body))
	}
	return strings.Join(lines, "\n")
}

const form = "content-type: application/x-www-form-urlencoded"

func TestParse(t *testing.T) {
	for _, row := range []struct{ line, want string }{
		// URLs
		{"curl https://a.test/x?y=1", "GET https://a.test /x?y=1"},
		{"/usr/bin/curl a.test", "GET http://a.test /"},
		{"HTTPS://a.test:443/x", "GET https://a.test /x"},
		{"https://a.test:8443?q", "GET https://a.test:8443 /?q"},
		{"--url https://a.test/x#top", "GET https://a.test /x"},
		{"https://[2001:db8::1]:8080/x", "GET https://[2001:db8::1]:8080 /x"},
		{"https://a.test/a/../b/./c", "GET https://a.test /b/c"},
		{"https://a.test/a/..", "GET https://a.test /"},
		{"--path-as-is https://a.test/a/../b", "GET https://a.test /a/../b"},
		{"-g https://a.test/{x}[1-2]", "GET https://a.test /{x}[1-2]"},
		{"https://al:s%40ce@a.test/", "GET https://a.test /\nauthorization: Basic YWw6c0BjZQ=="},
		{"-- https://a.test/", "GET https://a.test /"},

		// methods and headers
		{"-X DELETE https://a.test/x", "DELETE https://a.test /x"},
		{"-XPATCH https://a.test/x", "PATCH https://a.test /x"},
		{"-I https://a.test/x", "HEAD https://a.test /x"},
		{"-H 'X-A: 1' -H X-A:2 https://a.test/", "GET https://a.test /\nx-a: 1\nx-a: 2"},
		{"-H 'Host: b.test' https://a.test/", "GET https://b.test /"},
		{"-H 'Accept: text/html' https://a.test/", "GET https://a.test /\naccept: text/html"},
		{"-H 'Accept:' -H 'X-Empty;' https://a.test/", "GET https://a.test /\nx-empty: "},
		{"-H @headers https://a.test/", "GET https://a.test /\nx-one: 1\nx-two: 2"},
		{"-A me -e https://b.test/ --compressed https://a.test/",
			"GET https://a.test /\nuser-agent: me\naccept-encoding: deflate, gzip, br, zstd\nreferer: https://b.test/"},
		{"-b a=1 -b b=2 https://a.test/", "GET https://a.test /\ncookie: a=1;b=2"},
		{"-u alice:pw https://a.test/", "GET https://a.test /\nauthorization: Basic YWxpY2U6cHc="},
		{"--oauth2-bearer t0k https://a.test/", "GET https://a.test /\nauthorization: Bearer t0k"},

		// bodies
		{"-d a=1 -d b=2 https://a.test/", "POST https://a.test /\ncontent-length: 7\n" + form + "\n\na=1&b=2"},
		{"-da=1 https://a.test/", "POST https://a.test /\ncontent-length: 3\n" + form + "\n\na=1"},
		{"-X PUT --data-raw @x https://a.test/", "PUT https://a.test /\ncontent-length: 2\n" + form + "\n\n@x"},
		{"-d @body.json https://a.test/", "POST https://a.test /\ncontent-length: 8\n" + form + "\n\n{\"a\": 1}"},
		{"--data-binary @body.json https://a.test/", "POST https://a.test /\ncontent-length: 11\n" + form + "\n\n" + files["body.json"]},
		{"--data-binary @- https://a.test/", "POST https://a.test /\ncontent-length: 19\n" + form + "\n\nfrom standard input"},
		{"--data-urlencode 'q=a b&c' https://a.test/", "POST https://a.test /\ncontent-length: 9\n" + form + "\n\nq=a+b%26c"},
		{"--data-urlencode q@text https://a.test/", "POST https://a.test /\ncontent-length: 12\n" + form + "\n\nq=a+b%26c%0A"},
		{"--json {} https://a.test/", "POST https://a.test /\naccept: application/json\ncontent-length: 2\ncontent-type: application/json\n\n{}"},
		{"-d {} -H 'Content-Type: application/json' https://a.test/",
			"POST https://a.test /\ncontent-length: 2\ncontent-type: application/json\n\n{}"},
		{"-G -d a=1 -d b=2 https://a.test/x", "GET https://a.test /x?a=1&b=2"},
		{"-G -d a=1 https://a.test/x?b=2", "GET https://a.test /x?b=2&a=1"},
		{"-d '' https://a.test/", "POST https://a.test /\ncontent-length: 0\n" + form},
		{"-F a=1 -F 'f=@photo.png;type=image/png' https://a.test/", "POST https://a.test /\ncontent-length: 245\n" +
			"content-type: multipart/form-data; boundary=" + boundary + "\n\n" +
			"--" + boundary + "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n" +
			"--" + boundary + "\r\nContent-Disposition: form-data; name=\"f\"; filename=\"photo.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n" +
			"--" + boundary + "--\r\n"},

		// what does not change the request
		{"-ksSvi -o out.txt -w '%{http_code}' --max-time 5 --http2 https://a.test/x", "GET https://a.test /x"},
		{"-sSLXPOST https://a.test/x", "POST https://a.test /x"},
	} {
		t.Run(row.line, func(t *testing.T) {
			r, err := Parse(words(row.line), read)
			if err != nil {
				t.Fatal(err)
			}
			if got := written(r); got != row.want {
				t.Errorf("got\n%s\nwant\n%s", got, row.want)
			}
		})
	}
}

// What curl sends without being asked.
func TestOwnHeaders(t *testing.T) {
	r, err := Parse([]string{"https://a.test/"}, read)
	if err != nil {
		t.Fatal(err)
	}
	want := []Header{{"user-agent", "curl/8"}, {"accept", "*/*"}}
	if !reflect.DeepEqual(r.Headers, want) {
		t.Errorf("got %v, want %v", r.Headers, want)
	}
}

// Every refusal says what to write.
func TestRefusals(t *testing.T) {
	for _, row := range []struct{ line, want string }{
		{"", "no URL; write it whole"},
		{"curl https://a.test/ https://b.test/", "one request at a time"},
		{"https://a.test/{a,b}", "add -g"},
		{"ftp://a.test/", "only http and https"},
		{"'https://a.test/a b'", "is not a URL"},
		{"/orders", "is not a URL; write it whole"},
		{"--frobnicate https://a.test/", "--frobnicate is not known here; leave it out"},
		{"-sQ https://a.test/", "-Q is not known here"},
		{"--request=POST https://a.test/", "--request POST"},
		{"https://a.test/ -H", "-H needs a value"},
		{"-H nonsense https://a.test/", "'Name: value'"},
		{"-b jar.txt https://a.test/", "write the cookies"},
		{"-u alice https://a.test/", "NAME:PASSWORD"},
		{"-d @missing https://a.test/", "open missing: no such file"},
		{"-T file https://a.test/", "--data-binary @FILE"},
		{"-I -d x https://a.test/", "write -X"},
		{"-F a=1 -d x https://a.test/", "one body"},
		{"-F nonsense https://a.test/", "name=content"},
		{"https://a.test/ --next https://b.test/", "one request at a time"},
	} {
		t.Run(row.line, func(t *testing.T) {
			r, err := Parse(words(row.line), read)
			if err == nil {
				t.Fatalf("no error, but\n%s", written(r))
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("%q does not say %q", err, row.want)
			}
		})
	}
}

// Whatever the words, there is a request or an error, and the same one each time.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"curl\x00-sXPOST\x00https://a.test/x", "-F\x00a=@f;type=x;filename=\"y\"\x00a", "-H\x00@headers\x00a",
		"--json\x00{}\x00http://u:p@[::1]:80/..?#", "-G\x00--data-urlencode\x00=x\x00a", "--\x00a", "-", "-F\x00a=;\x00x",
	} {
		f.Add(seed)
	}
	none := func(string) ([]byte, error) { return nil, errors.New("no files here") }
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.Split(text, "\x00")
		r, err := Parse(words, none)
		if (r == nil) == (err == nil) {
			t.Fatalf("request %v and error %v", r, err)
		}
		if err != nil {
			return
		}
		if r.Host == "" || r.Target == "" || r.Target[0] != '/' || r.Scheme != "http" && r.Scheme != "https" {
			t.Errorf("not a request: %+v", r)
		}
		again, err := Parse(words, none)
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("another time %+v, %v", again, err)
		}
	})
}
