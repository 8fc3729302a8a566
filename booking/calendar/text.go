package calendar

import (
	"strings"
	"unicode"
)

// lineBreaks are all that a program may take for the end of a line, the Unicode ones too.
// golang-ical escapes \n, and writes the others as they are: a lone \r would let a name
// write lines of its own.
var lineBreaks = strings.NewReplacer(
	"\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n",
)

// lines is a text of several lines, as a calendar may have it. Map replaces bytes that
// are no UTF-8: folding counts on whole characters.
func lines(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, lineBreaks.Replace(s))
}

// line is a text of one line.
func line(s string) string { return strings.ReplaceAll(lines(s), "\n", " ") }
