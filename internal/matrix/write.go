package matrix

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the matrix for people: allow or the status in each cell, with
// a letter for the reason, which is told below.
func (m *Matrix) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "OPERATION")
	for _, c := range m.Callers {
		fmt.Fprint(table, "\t"+strings.ToUpper(c.Name))
	}
	fmt.Fprintln(table)
	var notes legend
	for i, o := range m.Operations {
		fmt.Fprint(table, o.String())
		for _, cell := range m.Cells[i] {
			fmt.Fprint(table, "\t"+notes.short(cell))
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i, reason := range notes {
		fmt.Fprintf(w, "%s%s  %s\n", map[bool]string{true: "\n"}[i == 0], letter(i), reason)
	}
	return m.writeErrors(w)
}

// writeErrors says why the policy could not decide, where it could not.
func (m *Matrix) writeErrors(w io.Writer) error {
	for i, o := range m.Operations {
		for j, cell := range m.Cells[i] {
			if cell.Error == "" {
				continue
			}
			if _, err := fmt.Fprintf(w, "\n%s as %s: %s\n", o, m.Callers[j].Name, cell.Error); err != nil {
				return err
			}
		}
	}
	return nil
}

// legend gives each reason a letter, in order of appearance.
type legend []string

func (l *legend) short(c Cell) string {
	text := "allow"
	if !c.Allowed {
		text = strconv.Itoa(c.Status)
	}
	if len(c.Reasons) == 0 {
		return text
	}
	for i, known := range *l {
		if known == c.reasons() {
			return text + " " + letter(i)
		}
	}
	*l = append(*l, c.reasons())
	return text + " " + letter(len(*l)-1)
}

// letter counts a, b, … z, aa, ab, …
func letter(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return letter(i/26-1) + letter(i%26)
}

// WriteMarkdown writes the matrix as a table for a page or a pull request.
func (m *Matrix) WriteMarkdown(w io.Writer) error {
	head, rule := "| operation |", "|---|"
	for _, c := range m.Callers {
		head += " " + cellText(c.Name) + " |"
		rule += "---|"
	}
	fmt.Fprintln(w, head+"\n"+rule)
	for i, o := range m.Operations {
		line := "| `" + cellText(o.Method+" "+o.Path) + "`"
		if o.Whose != "" {
			line += " (" + o.Whose + ")"
		}
		for _, cell := range m.Cells[i] {
			if text := cellText(cell.String()); cell.Allowed {
				line += " | **" + text + "**"
			} else {
				line += " | " + text
			}
		}
		if _, err := fmt.Fprintln(w, line+" |"); err != nil {
			return err
		}
	}
	return nil
}

func cellText(s string) string { return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s) }

// WriteCSV writes one line a cell.
func (m *Matrix) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"route", "method", "path", "whose", "caller", "allowed", "status", "reasons"})
	for i, o := range m.Operations {
		for j, cell := range m.Cells[i] {
			status := ""
			if !cell.Allowed {
				status = strconv.Itoa(cell.Status)
			}
			_ = out.Write([]string{o.Route, o.Method, o.Path, o.Whose, m.Callers[j].Name, strconv.FormatBool(cell.Allowed), status, strings.Join(cell.Reasons, " ")})
		}
	}
	out.Flush()
	return out.Error()
}

// WriteChanges writes a difference for people.
func WriteChanges(w io.Writer, changes []Change) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "no change: everybody may do what they could before")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHANGE\tOPERATION\tCALLER\tWAS\tIS")
	count := map[string]int{}
	for _, c := range changes {
		count[c.Kind]++
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", c.Kind, c.Operation, c.Caller, c.Was.orNothing(), c.Is.orNothing())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var parts []string
	for _, kind := range []string{"opened", "closed", "changed", "new", "gone"} {
		if count[kind] > 0 {
			parts = append(parts, strconv.Itoa(count[kind])+" "+kind)
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(parts, ", "))
	return err
}

func (c *Cell) orNothing() string {
	if c == nil {
		return "-"
	}
	return c.String()
}
