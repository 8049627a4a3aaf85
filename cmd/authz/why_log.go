package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"authz/internal/check"
)

// logged is a record of the decision log, as far as a request can be made of it.
type logged struct {
	DecisionID  string   `json:"decision_id"`
	RequestID   string   `json:"request_id"`
	Outcome     string   `json:"outcome"`
	Reasons     []string `json:"reasons"`
	Revision    string   `json:"revision"`
	RequestedBy string   `json:"requested_by"`
	Method      string   `json:"method"`
	Host        string   `json:"host"`
	HTTPPath    string   `json:"http_path"`
	QueryNames  string   `json:"query_names"`
	TokenStatus string   `json:"token_status"`
	TokenError  string   `json:"token_error"`
	TokenVia    string   `json:"token_via"`
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
}

// maxLogLine is far above any record: their strings are bounded when written.
const maxLogLine = 1 << 20

// findLogged looks for a record by the id of its decision or of its request. Of
// several, the last.
func findLogged(log io.Reader, id string) (*logged, error) {
	var found *logged
	records := 0
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		var one logged
		if json.Unmarshal(lines.Bytes(), &one) != nil || one.DecisionID == "" {
			continue
		}
		records++
		if one.DecisionID == id || one.RequestID == id {
			found = &one
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the decision log: %w", err)
	}
	if found == nil {
		return nil, fmt.Errorf("no record of %s among %d decisions", id, records)
	}
	return found, nil
}

// fromLog makes the request again, as far as the log has it.
func (ask *whyRequest) fromLog(c *Config, stdin io.Reader) (*specimen, *logged, error) {
	if ask.decision == "" {
		return nil, nil, errors.New("--log: say which decision with --decision ID; a refusal's body and the log name it")
	}
	text, err := readFileOr(ask.log, stdin)
	if err != nil {
		return nil, nil, err
	}
	record, err := findLogged(bytes.NewReader(text), ask.decision)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", ask.log, err)
	}
	r, err := ask.remake(c, record)
	if err != nil {
		return nil, nil, err
	}
	token, err := ask.callerOf(record)
	if err != nil {
		return nil, nil, err
	}
	return &specimen{request: r, token: token, notes: ask.missing(record)}, record, nil
}

func (ask *whyRequest) remake(c *Config, record *logged) (*check.Request, error) {
	scheme := cmp.Or(ask.at.scheme, "https")
	path := record.HTTPPath
	if record.QueryNames != "" {
		path += "?" + strings.ReplaceAll(record.QueryNames, "&", "=&") + "="
	}
	text, err := json.Marshal(object{"attributes": object{
		"source": object{"address": object{"socketAddress": object{"address": cmp.Or(ask.at.ip, record.RequestedBy)}}},
		"request": object{"http": object{
			"method": record.Method, "path": path, "host": record.Host, "scheme": scheme,
			"headers": object{":method": record.Method, ":path": path, ":authority": record.Host, ":scheme": scheme},
		}},
	}})
	if err != nil {
		return nil, err
	}
	return readCheck(c, text)
}

// callerOf is the caller of the record, with the roles, scopes and claims that the
// flags add; flags that name a caller take the record's place.
func (ask *whyRequest) callerOf(record *logged) (*check.Token, error) {
	who := *ask.who
	if who.said() {
		return who.token()
	}
	if record.TokenStatus == string(check.TokenValid) {
		given := who.given
		who.subject = record.Subject
		if !given("issuer") {
			who.issuer = record.Issuer
		}
		if !given("via") {
			who.via = cmp.Or(record.TokenVia, "header")
		}
		who.given = func(flag string) bool { return flag == "as" || given(flag) }
		return who.token()
	}
	return &check.Token{Status: check.TokenStatus(cmp.Or(record.TokenStatus, "absent")), Error: record.TokenError, Via: record.TokenVia}, nil
}

// missing says what the log does not hold and was not added.
func (ask *whyRequest) missing(record *logged) []string {
	lacking := []string{"headers", "body"}
	if record.QueryNames != "" {
		lacking = append(lacking, "the values of the query")
	}
	if record.TokenStatus == string(check.TokenValid) && !ask.who.said() {
		for _, flag := range []string{"roles", "scopes", "claims"} {
			if !ask.who.given(flag) {
				lacking = append(lacking, "the caller's "+flag+" (--"+flag+")")
			}
		}
	}
	if ask.at.scheme == "" {
		lacking = append(lacking, "the scheme (--scheme; taken for https)")
	}
	notes := []string{"not in the log, so not in this request: " + strings.Join(lacking, ", ")}
	for name, value := range map[string]string{"http_path": record.HTTPPath, "subject": record.Subject} {
		if strings.HasSuffix(value, "…") {
			notes = append(notes, "the log has only the beginning of "+name)
		}
	}
	return notes
}

// compare says whether the request that was made again got what the log says.
func (x *explained) compare(record *logged) {
	var codes []string
	for _, reason := range x.Reasons {
		codes = append(codes, reason.Code)
	}
	// What a quota in shadow would have refused is not why it was decided so.
	made := slices.DeleteFunc(slices.Clone(record.Reasons), func(code string) bool { return strings.HasPrefix(code, "shadow_quota_") })
	if x.Outcome == record.Outcome && strings.Join(codes, " ") == strings.Join(made, " ") {
		x.Notes = append(x.Notes, "the log says the same: "+x.verdict())
		return
	}
	said := record.Outcome
	if len(made) > 0 {
		said += " (" + strings.Join(made, ", ") + ")"
	}
	note := "the log says otherwise: " + said + "; what is missing decided, or the policies have changed"
	if record.Revision != "" && record.Revision != x.Revision {
		note += fmt.Sprintf(" (revision %s then, %s now)", record.Revision, x.Revision)
	}
	x.Notes = append(x.Notes, note)
}
