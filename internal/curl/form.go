package curl

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// part is one -F.
type part struct {
	name, file, media string
	content           []byte
}

// boundary is always the same, so that the same command line gives the same
// request; one that the content holds is made longer.
const boundary = "------------------------authz"

// addPart reads name=content, name=@file, name=<file, with ;type=… and
// ;filename=… after it. Without files it is --form-string: all content.
func (l *line) addPart(value string, files bool) error {
	name, content, found := strings.Cut(value, "=")
	if !found || name == "" {
		return fmt.Errorf("curl: -F %q: a field is written name=content", value)
	}
	p := part{name: name, content: []byte(content)}
	if files {
		if err := p.read(l, content); err != nil {
			return err
		}
	}
	l.form = append(l.form, p)
	return nil
}

func (p *part) read(l *line, content string) error {
	pieces := strings.Split(content, ";")
	given := ""
	for i := len(pieces) - 1; i > 0; i-- {
		key, value, _ := strings.Cut(strings.TrimSpace(pieces[i]), "=")
		switch key {
		case "type":
			p.media = value
		case "filename":
			given = strings.Trim(value, `"`)
		default:
			if content != "" && (content[0] == '@' || content[0] == '<') {
				return fmt.Errorf("curl: -F: ;%s is not known here; write ;type= or ;filename=", key)
			}
			pieces[0] = strings.Join(pieces[:i+1], ";")
			i = 0
		}
	}
	content = pieces[0]
	p.content = []byte(content)
	if content == "" || content[0] != '@' && content[0] != '<' {
		p.file = given
		return nil
	}
	if content[0] == '@' {
		p.file = path.Base(content[1:])
		if p.media == "" {
			p.media = "application/octet-stream"
		}
	}
	if given != "" {
		p.file = given
	}
	var err error
	p.content, err = l.file(content[1:])
	return err
}

func multipart(parts []part) (body []byte, contentType string) {
	mark := boundary
	for _, p := range parts {
		for bytes.Contains(p.content, []byte(mark)) {
			mark += "-"
		}
	}
	var b bytes.Buffer
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", mark, escaped(p.name))
		if p.file != "" {
			fmt.Fprintf(&b, "; filename=\"%s\"", escaped(p.file))
		}
		b.WriteString("\r\n")
		if p.media != "" {
			fmt.Fprintf(&b, "Content-Type: %s\r\n", p.media)
		}
		b.WriteString("\r\n")
		b.Write(p.content)
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "--%s--\r\n", mark)
	return b.Bytes(), "multipart/form-data; boundary=" + mark
}

// escaped is how browsers and curl write a name (WHATWG HTML, 4.10.21.8).
func escaped(name string) string {
	return strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(name)
}
