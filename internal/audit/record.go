package audit

import (
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Record is one decision. Its JSON names are those of OPA's decision log where it
// has them (https://www.openpolicyagent.org/docs/management-decision-logs).
// Strings may be what a peer sent; they are bounded and masked when written.
type Record struct {
	Time       time.Time
	DecisionID string
	RequestID  string
	PolicyPath string // path: the entry point
	Revision   string
	Outcome    string
	Allowed    bool
	Status     int // what the policy asked for; 0 where it left that open
	Reasons    []string

	RequestedBy string // the client's address
	Method      string
	Host        string
	HTTPPath    string // with its query; only the query's names are written
	Route       string

	TokenStatus, TokenError, TokenVia string
	Issuer, Subject                   string

	Quota string // the one that refused
	// Error is the detail of a failure: for the log, never for the client.
	Error string

	Durations struct{ Token, Policy, Quota, Total time.Duration }
}

// maxText bounds each string in the log, in bytes.
const maxText = 256

func (r *Record) line() slog.Record {
	line := slog.NewRecord(r.Time, slog.LevelInfo, "decision", 0)
	line.AddAttrs(
		slog.String("decision_id", r.DecisionID),
		slog.String("request_id", clean(r.RequestID)),
		slog.String("path", r.PolicyPath),
		slog.String("outcome", r.Outcome),
		slog.Bool("allowed", r.Allowed),
	)
	if r.Status != 0 {
		line.AddAttrs(slog.Int("status", r.Status))
	}
	if len(r.Reasons) > 0 {
		reasons := make([]string, len(r.Reasons))
		for i, reason := range r.Reasons {
			reasons[i] = clean(reason)
		}
		line.AddAttrs(slog.Any("reasons", reasons))
	}
	path, query, _ := strings.Cut(r.HTTPPath, "?")
	for _, a := range []struct{ key, value string }{
		{"revision", r.Revision},
		{"requested_by", r.RequestedBy},
		{"method", r.Method},
		{"host", r.Host},
		{"http_path", path},
		{"query_names", queryNames(query)},
		{"route", r.Route},
		{"token_status", r.TokenStatus},
		{"token_error", r.TokenError},
		{"token_via", r.TokenVia},
		{"issuer", r.Issuer},
		{"subject", r.Subject},
		{"quota", r.Quota},
	} {
		if a.value != "" {
			line.AddAttrs(slog.String(a.key, clean(a.value)))
		}
	}
	if r.Error != "" {
		line.AddAttrs(slog.String("error", bounded(mask(r.Error), 4*maxText)))
	}
	d := r.Durations
	line.AddAttrs(slog.Group("metrics",
		slog.Int64("timer_token_ns", int64(d.Token)),
		slog.Int64("timer_rego_query_eval_ns", int64(d.Policy)),
		slog.Int64("timer_quota_ns", int64(d.Quota)),
		slog.Int64("timer_decision_ns", int64(d.Total)),
	))
	return line
}

// gap is the line that says that lines are missing.
func gap(at time.Time, dropped uint64) slog.Record {
	line := slog.NewRecord(at, slog.LevelWarn, "decisions not logged: the log could not keep up", 0)
	line.AddAttrs(slog.Uint64("dropped", dropped))
	return line
}

// queryNames keeps the names of query parameters; values may be secrets.
func queryNames(query string) string {
	if query == "" {
		return ""
	}
	if len(query) > 4*maxText {
		query = query[:4*maxText]
	}
	var names []string
	for parameter := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		names = append(names, name)
	}
	return strings.Join(names, "&")
}

func clean(s string) string { return bounded(mask(s), maxText) }

// bounded cuts s to at most max bytes, between characters.
func bounded(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max] + "…"
}

// A JWT begins with the base64url of `{"`. Both a whole one and one that the bound
// would cut are masked.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_=-]{8,}(\.[A-Za-z0-9_=-]*)*`)

func mask(s string) string {
	if !strings.Contains(s, "eyJ") {
		return s
	}
	return jwt.ReplaceAllLiteralString(s, "***")
}
