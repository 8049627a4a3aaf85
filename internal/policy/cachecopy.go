package policy

import (
	"slices"
	"strings"

	"authz/internal/check"
)

// What is remembered is a copy: its texts may be parts of a request whose memory is
// used again, or would hold a large message back for a short word. Slices are as
// long as their memory, so that appending to one never writes into it.

func copyResult(r *Result) *Result {
	out := *r
	out.Headers, out.ResponseHeaders, out.SetQuery = copyHeaders(r.Headers), copyHeaders(r.ResponseHeaders), copyHeaders(r.SetQuery)
	out.RemoveHeaders, out.RemoveQuery = copyTexts(r.RemoveHeaders), copyTexts(r.RemoveQuery)
	out.Reasons, out.Unknown = copyTexts(r.Reasons), copyTexts(r.Unknown)
	if r.Body != nil {
		body := strings.Clone(*r.Body)
		out.Body = &body
	}
	if r.Metadata != nil {
		out.Metadata = copyPlain(r.Metadata).(map[string]any)
	}
	if r.Response != nil {
		out.Response = &ResponseRules{MaskErrors: r.Response.MaskErrors, Sanitize: copyPlain(r.Response.Sanitize)}
	}
	out.Quotas = slices.Clip(slices.Clone(r.Quotas))
	for i := range out.Quotas {
		out.Quotas[i].Name = strings.Clone(out.Quotas[i].Name)
		out.Quotas[i].Key = copyTexts(out.Quotas[i].Key)
	}
	return &out
}

func copyTexts(list []string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.Clone(s)
	}
	return out
}

func copyHeaders(list []check.Header) []check.Header {
	if list == nil {
		return nil
	}
	out := make([]check.Header, len(list))
	for i, h := range list {
		out[i] = check.Header{Name: strings.Clone(h.Name), Value: strings.Clone(h.Value)}
	}
	return out
}

func copyPlain(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Clone(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = copyPlain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[strings.Clone(name)] = copyPlain(value)
		}
		return out
	}
	return v
}

// resultSize is about what a Result takes in memory.
func resultSize(r *Result) int64 {
	n := int64(400)
	for _, list := range [][]check.Header{r.Headers, r.ResponseHeaders, r.SetQuery} {
		for _, h := range list {
			n += int64(len(h.Name)+len(h.Value)) + 48
		}
	}
	for _, list := range [][]string{r.RemoveHeaders, r.RemoveQuery, r.Reasons, r.Unknown} {
		n += textsSize(list)
	}
	if r.Body != nil {
		n += int64(len(*r.Body)) + 16
	}
	for _, q := range r.Quotas {
		n += int64(len(q.Name)) + 104 + textsSize(q.Key)
	}
	if r.Response != nil {
		n += 32 + plainSize(r.Response.Sanitize)
	}
	return n + plainSize(r.Metadata)
}

func textsSize(list []string) (n int64) {
	for _, s := range list {
		n += int64(len(s)) + 24
	}
	return n
}

func plainSize(v any) int64 {
	n := int64(16)
	switch v := v.(type) {
	case string:
		n += int64(len(v)) + 16
	case []any:
		for _, item := range v {
			n += plainSize(item)
		}
	case map[string]any:
		n += 48
		for name, value := range v {
			n += int64(len(name)) + 32 + plainSize(value)
		}
	}
	return n
}
