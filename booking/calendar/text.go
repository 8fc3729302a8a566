package calendar

import (
	"strings"
	"unicode"
)

// lineBreaks are what programs may read as the end of a line, in Unicode too. golang-ical
// escapes \n only; a lone \r would let a name add lines to the file.
var lineBreaks = strings.NewReplacer(
	"\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n",
)

// lines returns a text of several lines in valid UTF-8, on which folding depends.
func lines(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, lineBreaks.Replace(s))
}

// line returns a text of one line.
func line(s string) string { return strings.ReplaceAll(lines(s), "\n", " ") }
