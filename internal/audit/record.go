package audit

import (
	"log/slog"
	"strings"
	"time"
)

// Record is one decision. Its JSON names are those of OPA's decision log where it
// has them (https://www.openpolicyagent.org/docs/management-decision-logs).
// Strings may be what a peer sent; they are cut when recorded, and
// bounded and masked when written.
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

// bound shortens what is long: thousands of records may wait while the writer is
// slow, each with texts that a peer made as long as its request could be.
func (r *Record) bound() {
	for _, s := range [...]*string{
		&r.RequestID, &r.RequestedBy, &r.Method, &r.Host, &r.Route,
		&r.TokenStatus, &r.TokenError, &r.TokenVia, &r.Issuer, &r.Subject, &r.Quota,
	} {
		*s = shortened(*s, 2*maxText)
	}
	r.HTTPPath = shortenedTarget(r.HTTPPath)
	r.own()
	r.Error = shortened(r.Error, 2*maxError)
	long := len(r.Reasons) > maxReasons
	for _, reason := range r.Reasons {
		long = long || len(reason) > 2*maxText
	}
	if long { // the list is the caller's: shorten a copy
		reasons := make([]string, min(len(r.Reasons), maxReasons))
		for i := range reasons {
			reasons[i] = shortened(r.Reasons[i], 2*maxText)
		}
		r.Reasons = reasons
	}
}

// own copies the texts that may be a part of the request's message, which is large
// and whose memory is not the record's to keep.
func (r *Record) own() {
	texts := [...]*string{&r.DecisionID, &r.RequestID, &r.RequestedBy, &r.Method, &r.Host, &r.HTTPPath}
	size := 0
	for _, s := range texts {
		size += len(*s)
	}
	all := make([]byte, 0, size)
	for _, s := range texts {
		all = append(all, *s...)
	}
	copied := string(all)
	for _, s := range texts {
		*s, copied = copied[:len(*s)], copied[len(*s):]
	}
}

func (r *Record) line() slog.Record {
	line := slog.NewRecord(r.Time, slog.LevelInfo, "decision", 0)
	// Gathered first: a slog.Record that grows attribute by attribute is copied as often.
	attrs := append(make([]slog.Attr, 0, 24),
		slog.String("decision_id", r.DecisionID),
		slog.String("request_id", clean(r.RequestID)),
		slog.String("path", r.PolicyPath),
		slog.String("outcome", r.Outcome),
		slog.Bool("allowed", r.Allowed),
	)
	if r.Status != 0 {
		attrs = append(attrs, slog.Int("status", r.Status))
	}
	if len(r.Reasons) > 0 {
		reasons := make([]string, len(r.Reasons))
		for i, reason := range r.Reasons {
			reasons[i] = clean(reason)
		}
		attrs = append(attrs, slog.Any("reasons", reasons))
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
			attrs = append(attrs, slog.String(a.key, clean(a.value)))
		}
	}
	if r.Error != "" {
		attrs = append(attrs, slog.String("error", bounded(plain(mask(r.Error)), maxError)))
	}
	d := r.Durations
	attrs = append(attrs, slog.Group("metrics",
		slog.Int64("timer_token_ns", int64(d.Token)),
		slog.Int64("timer_rego_query_eval_ns", int64(d.Policy)),
		slog.Int64("timer_quota_ns", int64(d.Quota)),
		slog.Int64("timer_decision_ns", int64(d.Total)),
	))
	line.AddAttrs(attrs...)
	return line
}

// gap is the line that says that lines are missing.
func gap(at time.Time, dropped uint64) slog.Record {
	line := slog.NewRecord(at, slog.LevelWarn, "decisions not logged: the log could not keep up", 0)
	line.AddAttrs(slog.Uint64("dropped", dropped))
	return line
}
