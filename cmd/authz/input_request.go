package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"authz/internal/check"
	"authz/internal/curl"
	"authz/internal/extauthz"

	"github.com/spf13/cobra"
)

// specimen is one request to look at, with whoever sends it.
type specimen struct {
	request *check.Request
	token   *check.Token
	// notes say what was assumed or is not known, for the person who asked.
	notes []string
}

// edge is what Envoy would add to a request, said by flags.
type edge struct{ ip, scheme string }

// exampleIP is an address that is nobody's (RFC 5737).
const exampleIP = "192.0.2.1"

func edgeFlags(cmd *cobra.Command) *edge {
	e := &edge{}
	cmd.Flags().StringVar(&e.ip, "ip", "", "the client's address as Envoy resolves it (default "+exampleIP+")")
	cmd.Flags().StringVar(&e.scheme, "scheme", "", "http or https, as the trusted edge says (default: the URL's)")
	_ = cmd.RegisterFlagCompletionFunc("scheme", cobra.FixedCompletions([]string{"https", "http"}, cobra.ShellCompDirectiveNoFileComp))
	return e
}

func (e *edge) check() error {
	if e.scheme != "" && e.scheme != "http" && e.scheme != "https" {
		return fmt.Errorf("--scheme %q: write http or https", e.scheme)
	}
	if e.ip == "" {
		return nil
	}
	if client, _ := check.ParseClient(e.ip, ""); client.IP == "" {
		return fmt.Errorf("--ip %q is not an IP address", e.ip)
	}
	return nil
}

// apply puts what the flags say in the place of what a check says.
func (e *edge) apply(r *check.Request) {
	client, _ := check.ParseClient(cmp.Or(e.ip, r.Client.IP), cmp.Or(e.scheme, r.Client.Scheme))
	r.Client = client
	if e.scheme != "" {
		r.HTTP.Scheme = e.scheme
	}
}

// fromCurl reads a curl line as the check that Envoy would make of it: a
// CheckRequest, which then goes the way of every check.
func (e *edge) fromCurl(c *Config, words []string, stdin io.Reader) (*check.Request, error) {
	line, err := curl.Parse(words, func(name string) ([]byte, error) { return readFileOr(name, stdin) })
	if err != nil {
		return nil, err
	}
	text, err := e.checkRequest(line)
	if err != nil {
		return nil, err
	}
	return readCheck(c, text)
}

func readCheck(c *Config, text []byte) (*check.Request, error) {
	door, err := doorConfig(c)
	if err != nil {
		return nil, err
	}
	return extauthz.ReadJSON(door, text)
}

// object keeps the JSON of a CheckRequest readable where it is made.
type object = map[string]any

func (e *edge) checkRequest(line *curl.Request) ([]byte, error) {
	ip, scheme := cmp.Or(e.ip, exampleIP), cmp.Or(e.scheme, line.Scheme)
	http := object{
		"method": line.Method, "path": line.Target, "host": line.Host, "scheme": scheme,
		"protocol": "HTTP/1.1", "headers": headersOf(line, ip, scheme), "size": fmt.Sprint(len(line.Body)),
	}
	if utf8.Valid(line.Body) {
		http["body"] = string(line.Body)
	} else {
		http["rawBody"] = line.Body
	}
	for name, value := range http["headers"].(map[string]string) {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, fmt.Errorf("the header %q is not UTF-8, which a command line cannot carry here: use --check with encoded raw headers", name)
		}
	}
	if !utf8.ValidString(line.Target) || !utf8.ValidString(line.Host) {
		return nil, fmt.Errorf("the URL is not UTF-8: escape its bytes as %%XX")
	}
	return json.Marshal(object{"attributes": object{
		"source":  object{"address": object{"socketAddress": object{"address": ip, "portValue": 40000}}},
		"request": object{"http": http},
	}})
}

// headersOf are the headers as Envoy sends them in a check: its own four, what it
// says of the client, and repeated names as one.
func headersOf(line *curl.Request, ip, scheme string) map[string]string {
	out := map[string]string{}
	for _, h := range line.Headers {
		if old, again := out[h.Name]; again {
			out[h.Name] = old + "," + h.Value
		} else {
			out[h.Name] = h.Value
		}
	}
	if forwarded, given := out["x-forwarded-for"]; given {
		ip = forwarded + "," + ip
	}
	out["x-forwarded-for"] = ip
	out["x-forwarded-proto"] = scheme
	out[":method"], out[":path"], out[":authority"], out[":scheme"] = line.Method, line.Target, line.Host, scheme
	return out
}

// by is the request with its caller: the one that the flags describe, or else what
// is to be said of the credential in the request without asking an issuer.
func by(ctx context.Context, c *Config, r *check.Request, who *caller) (*specimen, error) {
	s := &specimen{request: r}
	var err error
	if s.token, err = who.token(); err != nil || s.token != nil || r.Fault != nil {
		return s, err
	}
	if s.token, err = presented(ctx, c, r); err != nil {
		return nil, err
	}
	if s.token.Status == check.TokenInvalid {
		s.notes = append(s.notes, "the token in the request is not verified here, so it counts as invalid; --as SUBJECT says whose it is")
	}
	return s, nil
}

// curlArgs makes cmd say, where a flag is not its own, that it may be curl's.
func curlArgs(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; curl's own flags come after --: %s -- curl …", err, cmd.CommandPath())
	})
}

// curlWords are the words after --, or else all of them.
func curlWords(cmd *cobra.Command, args []string) ([]string, error) {
	if dash := cmd.ArgsLenAtDash(); dash > 0 {
		return nil, fmt.Errorf("%s: not expected before --", strings.Join(args[:dash], " "))
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("write -- and a curl line: %s -- curl https://api.example.com/orders", cmd.CommandPath())
	}
	if len(args) > 1 && cmd.ArgsLenAtDash() < 0 && slices.Contains(args, "curl") {
		return nil, fmt.Errorf("write -- before the curl line, so that its flags are curl's: %s -- %s", cmd.CommandPath(), strings.Join(args, " "))
	}
	return args, nil
}
