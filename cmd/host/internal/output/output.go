// Package output prints the results of the host's commands, as text or one JSON object
// per line. Methods return an error when an item is not settled, for the exit status.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Printer prints to Out, JSON lines if JSON is set.
type Printer struct {
	Out  io.Writer
	JSON bool
}

// Line prints text, or value as JSON.
func (p Printer) Line(text string, value any) error {
	if p.JSON {
		return printJSON(p.Out, value)
	}
	_, err := fmt.Fprintln(p.Out, text)
	return err
}

func printJSON[T any](out io.Writer, values ...T) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, v := range values {
		if err := lines.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

// A nil header is not printed.
func printTable(out io.Writer, header []string, rows [][]string) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if header != nil {
		fmt.Fprintln(table, strings.Join(header, "\t"))
	}
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// printFields leaves out fields without a value.
func printFields(out io.Writer, fields [][2]string) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, field := range fields {
		if field[1] != "" {
			fmt.Fprintf(table, "%s:\t%s\n", field[0], field[1])
		}
	}
	return table.Flush()
}

// Escape returns one line without control characters, safe for a terminal.
func Escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// OneLine replaces each run of white space by one space.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func truncate(text string) string {
	text = OneLine(text)
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:60]) + "…"
	}
	return text
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Plural returns "1 link" or "2 links".
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
