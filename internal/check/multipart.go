package check

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The multipart/form-data reader (RFC 7578). Lenient readers of multipart disagree
// about nearly everything, so this one reads only what browsers and common clients
// write; the rest is a fault, also in lax mode unless said otherwise:
//
//	multipart_boundary   boundary missing, or not of RFC 2046's characters
//	multipart_delimiter  the boundary elsewhere than at a line's start, bare LF,
//	                     space after it, no closing one; strict: text before the
//	                     first or after the last
//	multipart_parts      more than MaxParameters parts
//	multipart_header     a part's header too large or malformed: folded lines, a name
//	                     twice, control bytes, bytes that are not UTF-8
//	multipart_name       a disposition other than form-data; no name, or one that
//	                     is encoded (name*) or has a backslash in it
//	multipart_encoding   a content-transfer-encoding that changes bytes: some apps
//	                     decode it, most do not
//	multipart_type       strict: a charset other than UTF-8, a multipart in a part
//	multipart_text       a field that is not UTF-8; strict: NUL in it
//
// Text becomes a string and application/json is decoded. A file (a part with a
// filename) that is not UTF-8 has the value nil: a rule sees that it is there.
const (
	maxPartHeader  = 8 << 10
	maxPartHeaders = 10
)

func (in *BodyInput) multipart(media field, text string) (Body, *Fault) {
	boundary, _ := media.lookup("boundary")
	if !isBoundary(boundary) || media.has("boundary*") {
		return Body{}, &Fault{"multipart_boundary", "no usable boundary"}
	}
	out := map[string]any{}
	fault := eachPart(text, "--"+boundary, in.Strict, func(text string) *Fault {
		part, fault := readPart(text)
		if fault != nil {
			return fault
		}
		value, fault := part.value(in.Strict)
		if fault != nil {
			return fault
		}
		appendValue(out, part.name, value)
		return nil
	})
	return parsed(out, fault)
}

// isBoundary is RFC 2046, 5.1.1.
func isBoundary(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("'()+_,-./:=? ", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 70 && s[len(s)-1] != ' '
}

// eachPart visits the parts. Every occurrence of the delimiter must be a proper
// delimiter line, for another reader may take any of them for one.
func eachPart(text, delimiter string, strict bool, visit func(string) *Fault) *Fault {
	broken := func(detail string) *Fault { return &Fault{"multipart_delimiter", detail} }
	preamble, rest, found := strings.Cut(text, delimiter)
	if !found || preamble != "" && (strict || !strings.HasSuffix(preamble, "\r\n")) {
		return broken("the body does not begin with the boundary")
	}
	for count := 0; !strings.HasPrefix(rest, "--"); {
		if count++; count > MaxParameters {
			return &Fault{"multipart_parts", fmt.Sprintf("more than %d parts", MaxParameters)}
		}
		if !strings.HasPrefix(rest, "\r\n") {
			return broken("text after a boundary")
		}
		var part string
		if part, rest, found = strings.Cut(rest[2:], delimiter); !found {
			return broken("no closing boundary")
		}
		part, found = strings.CutSuffix(part, "\r\n")
		if !found {
			return broken("a boundary within a line")
		}
		if fault := visit(part); fault != nil {
			return fault
		}
	}
	if epilogue := rest[2:]; strings.Contains(epilogue, delimiter) || strict && epilogue != "" && epilogue != "\r\n" {
		return broken("text after the closing boundary")
	}
	return nil
}

// part is one field of the form.
type part struct {
	name    string
	file    bool
	media   field
	content string
}

func readPart(text string) (part, *Fault) {
	header, content, found := strings.Cut(text, "\r\n\r\n")
	if !found || len(header) > maxPartHeader {
		return part{}, &Fault{"multipart_header", "no end of a part's header, or a header too large"}
	}
	lines, ok := partHeaders(header)
	if !ok {
		return part{}, &Fault{"multipart_header", "a part's header is malformed"}
	}
	out := part{content: content}
	disposition, _ := lines.Lookup("content-disposition")
	described, ok := parseField(disposition)
	name, named := described.lookup("name")
	if !ok || described.name != "form-data" || !named || strings.IndexByte(name, '\\') >= 0 || continued(described) {
		return part{}, &Fault{"multipart_name", "a part without a plain name"}
	}
	out.name = name
	out.file = described.has("filename") || described.has("filename*")
	if contentType, typed := lines.Lookup("content-type"); typed {
		if out.media, ok = parseField(contentType); !ok {
			return part{}, &Fault{"multipart_header", "a part's content type is malformed"}
		}
	}
	if encoding, encoded := lines.Lookup("content-transfer-encoding"); encoded {
		switch lower(encoding) {
		case "7bit", "8bit", "binary":
		default:
			return part{}, &Fault{"multipart_encoding", "a part is transfer-encoded"}
		}
	}
	return out, nil
}

// continued finds RFC 2231's `name*` and `name*0`, which some readers put together
// to a name that RFC 7578 (4.2) forbids.
func continued(disposition field) bool {
	for _, parameter := range disposition.parameters {
		if base, _, split := strings.Cut(parameter.Name, "*"); split && parameter.Name != "filename*" || base == "" {
			return true
		}
	}
	return false
}

func partHeaders(text string) (Headers, bool) {
	if !utf8.ValidString(text) || strings.Count(text, "\r\n") >= maxPartHeaders {
		return nil, false
	}
	var out Headers
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, found := strings.Cut(line, ":")
		name = lower(name)
		if _, twice := out.Lookup(name); !found || twice || !isToken(name) {
			return nil, false
		}
		value = strings.Trim(value, " \t")
		for i := range len(value) {
			if isControl(value[i]) && value[i] != '\t' {
				return nil, false
			}
		}
		out = append(out, Header{name, value})
	}
	return out, true
}

func (p *part) value(strict bool) (any, *Fault) {
	if strict && (!p.media.isUTF8() || strings.HasPrefix(p.media.name, "multipart/")) {
		return nil, &Fault{"multipart_type", "a part in another charset, or of parts"}
	}
	switch {
	case p.media.name == "application/json":
		return ParseJSON(p.content, strict)
	case utf8.ValidString(p.content):
		if strict && !p.file && strings.IndexByte(p.content, 0) >= 0 {
			return nil, &Fault{"multipart_text", "NUL in a field"}
		}
		return p.content, nil
	case p.file:
		return nil, nil
	}
	return nil, &Fault{"multipart_text", "a field is not UTF-8"}
}
