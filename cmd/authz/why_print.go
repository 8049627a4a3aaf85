package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"authz/internal/authz"
	"authz/internal/policy"
)

// paint colours text on a terminal whose owner has not asked for none
// (https://no-color.org).
type paint bool

const (
	green = "32"
	red   = "31"
	faint = "2"
	bold  = "1"
)

func colours(w io.Writer) paint {
	f, isFile := w.(*os.File)
	if !isFile || os.Getenv("NO_COLOR") != "" || slices.Contains([]string{"", "dumb"}, os.Getenv("TERM")) {
		return false
	}
	info, err := f.Stat()
	return paint(err == nil && info.Mode()&os.ModeCharDevice != 0)
}

func (p paint) text(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// row is one line of the tree, before its place is put into a column.
type row struct {
	held       bool
	indent     int
	text, file string
	line       int
	note       bool
}

// maxColumn is where the column of places begins at the latest.
const maxColumn = 72

func (x *explained) print(w io.Writer) error {
	p := colours(w)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", p.text(bold, printable(x.Method)), p.text(bold, printable(x.URL)))
	fmt.Fprintf(&b, "caller  %s\n", printable(x.Caller))
	if x.Route != "" {
		fmt.Fprintf(&b, "route   %s\n", x.Route)
	}
	if len(x.Rules) > 0 {
		b.WriteByte('\n')
		x.tree(&b, p)
	}
	colour := red
	if x.Outcome == authz.Allowed.String() {
		colour = green
	}
	fmt.Fprintf(&b, "\n%s\n", p.text(colour+";"+bold, x.verdict()))
	for _, reason := range x.Reasons {
		if reason.Rule != "" {
			fmt.Fprintf(&b, "  %s: %s %s\n", reason.Code, reason.Rule, p.text(faint, fmt.Sprintf("%s:%d", reason.File, reason.Line)))
		}
	}
	if x.Detail != "" {
		fmt.Fprintf(&b, "  %s\n", x.Detail)
	}
	if x.refused {
		x.nearest(&b)
	}
	for _, note := range x.Notes {
		fmt.Fprintf(&b, "\n%s %s\n", p.text(faint, "note:"), note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printable keeps a peer's text from speaking to the terminal: a log may hold
// anything.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

func (x *explained) nearest(b *strings.Builder) {
	if len(x.Ways) == 0 {
		b.WriteString("\nno way to an allow by a small change: none of those that were tried helps\n")
		return
	}
	b.WriteString("\nthe nearest way to an allow:\n")
	for i, w := range x.Ways {
		or := ""
		if i > 0 {
			or = "or "
		}
		fmt.Fprintf(b, "  %s%s\n", or, w.Text)
	}
}

func (x *explained) tree(b *strings.Builder, p paint) {
	rows := flat(x.Rules, 0, nil)
	column := 0
	for _, r := range rows {
		column = max(column, min(r.width(), maxColumn))
	}
	for _, r := range rows {
		indent := strings.Repeat("  ", r.indent)
		if r.note {
			fmt.Fprintf(b, "%s    %s\n", indent, p.text(faint, r.text))
			continue
		}
		mark := p.text(red, "✗")
		if r.held {
			mark = p.text(green, "✓")
		}
		pad := strings.Repeat(" ", max(column-r.width(), 0)+2)
		place := ""
		if r.file != "" {
			place = pad + p.text(faint, fmt.Sprintf("%s:%d", r.file, r.line))
		}
		fmt.Fprintf(b, "%s%s %s%s\n", indent, mark, r.text, place)
	}
}

func (r row) width() int {
	if r.note {
		return 0
	}
	return 2*r.indent + 2 + utf8.RuneCountInString(r.text)
}

// flat is the tree as rows; what a condition saw is a row of its own below it.
func flat(steps []policy.Step, indent int, out []row) []row {
	for _, s := range steps {
		text := s.Text
		if s.Above {
			text += " (as above)"
		}
		out = append(out, row{held: s.Held, indent: indent, text: text, file: s.File, line: s.Line})
		for _, v := range s.Values {
			if v.Name != s.Text {
				out = append(out, row{indent: indent, note: true, text: v.Name + " is " + v.Value})
			}
		}
		out = flat(s.Steps, indent+1, out)
	}
	return out
}
