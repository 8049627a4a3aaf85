package extauthz

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// quotaExceeded is the registered problem type of a spent quota
// (draft-ietf-httpapi-ratelimit-headers).
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// problemHeads are the bodies up to the request id, by status.
var problemHeads = func() map[int]string {
	heads := map[int]string{}
	for code := 400; code <= 599; code++ {
		kind, title := "about:blank", http.StatusText(code)
		if code == http.StatusTooManyRequests {
			kind = quotaExceeded
		}
		if title == "" {
			title = "Error"
		}
		heads[code] = fmt.Sprintf(`{"type":%q,"title":%q,"status":%d,"request_id":`, kind, title, code)
	}
	return heads
}()

// appendProblem appends a generic body (RFC 9457). It says nothing of what went wrong
// inside: the request id leads whoever may know to the log.
func appendProblem(b []byte, code int, requestID string) []byte {
	b = append(b, problemHeads[code]...)
	if plainID(requestID) {
		b = append(append(append(b, '"'), requestID...), '"')
	} else {
		quoted, err := json.Marshal(requestID)
		if err != nil { // a string always has a JSON form
			quoted = []byte(`""`)
		}
		b = append(b, quoted...)
	}
	return append(b, "}\n"...)
}

// plainID: letters, digits and dashes, which JSON has as they are.
func plainID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}
