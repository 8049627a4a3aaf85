package inject

import (
	"bytes"
	"strings"
)

// An encoder writes every line anew: blank lines go, comments move, `{ a: b }`
// becomes `{a: b}`. So that a diff shows what was meant and nothing else, the lines
// that did not change are taken from the author's text.

// maxLines bounds the work of splice, which grows with the square.
const maxLines = 4000

// splice returns after with the author's lines in place of those that before has
// too. before is the author's document as the encoder writes it, line for line; where
// it is not, ok is false.
func splice(author, before, after []byte) (text []byte, ok bool) {
	own, old, renewed := paragraphs(author), paragraphs(before), paragraphs(after)
	if len(own) != len(old) || len(old) > maxLines || len(renewed) > maxLines {
		return nil, false
	}
	for i := range own {
		if bare(own[i]) != bare(old[i]) {
			return nil, false
		}
	}
	var out bytes.Buffer
	for j, i := range common(old, renewed) {
		if i >= 0 {
			out.WriteString(own[i])
		} else {
			out.WriteString(renewed[j])
		}
	}
	return out.Bytes(), true
}

// paragraphs are the lines that are not blank, each with the blank ones before it.
func paragraphs(text []byte) (list []string) {
	blank := ""
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "" {
			blank += line
			continue
		}
		if !strings.HasSuffix(line, "\n") {
			line += "\n"
		}
		list = append(list, blank+line)
		blank = ""
	}
	if n := len(list); n > 0 {
		list[n-1] += blank
	}
	return list
}

// bare is a paragraph's line without what the encoder is free to choose, and without
// a comment behind it, which the encoder may move. Its indentation counts.
func bare(paragraph string) string {
	var line string
	for line = range strings.Lines(paragraph) {
		if strings.TrimSpace(line) != "" {
			break
		}
	}
	rest := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(rest)]
	rest, _, _ = strings.Cut(rest, " #")
	return indent + strings.NewReplacer(" ", "", "'", "", `"`, "", "\r", "", "\n", "").Replace(rest)
}

// common says for each line of b which line of a it is, or -1: a longest common
// subsequence.
func common(a, b []string) []int {
	// length[i][j] is the longest in a[i:] and b[j:].
	length := make([][]int32, len(a)+1)
	for i := range length {
		length[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	at := make([]int, len(b))
	i := 0
	for j := range b {
		at[j] = -1
		for i < len(a) && a[i] != b[j] && length[i+1][j] >= length[i][j+1] {
			i++
		}
		if i < len(a) && a[i] == b[j] {
			at[j] = i
			i++
		}
	}
	return at
}
