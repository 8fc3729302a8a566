package main_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exposed is a scrape of a host on which every metric has a sample.
func exposed(t *testing.T) (s scraped) {
	t.Helper()
	h := startHost(t, onOwnPort)
	c := h.client()
	c.booked(0).pay()
	c.get("/health/db")
	c.get("/success")
	for _, path := range []string{"/book", "/create-checkout-session"} {
		c.post(path, m{})
	}
	_, err := h.db.Exec(`ALTER TABLE booking_platform.bookings RENAME TO hidden`)
	require.NoError(t, err)
	require.GreaterOrEqual(t, c.get("/api/resources/studio/availability").status, http.StatusInternalServerError)
	_, err = h.db.Exec(`ALTER TABLE booking_platform.hidden RENAME TO bookings`)
	require.NoError(t, err)
	eventually(t, "the event is read", func() bool {
		s = c.scrape()
		_, ok := s.value(t, "booking_webhook_last_processed_timestamp_seconds")
		return ok
	})
	return s
}

// docs/metrics.md lists all metrics with type and labels.
func TestMetrics_AreDocumented(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `(booking_\\w+)` \\| (\\w+) \\|([^|]*)\\| [^|]+ \\|$")
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(content), -1) {
		labels := regexp.MustCompile(`\w+`).FindAllString(m[3], -1)
		slices.Sort(labels)
		documented[m[1]] = m[2] + " " + strings.Join(labels, " ")
	}
	s := exposed(t)
	real := map[string]string{}
	for family, kind := range s.types {
		if strings.HasPrefix(family, "booking_") {
			real[family] = kind + " " + strings.Join(s.labels(family, kind), " ")
		}
	}
	require.Equal(t, real, documented)
}

// matcher is a condition of a selector.
type matcher struct{ label, op, value string }

// selector is a metric in an expression with its conditions.
type selector struct {
	name     string
	matchers []matcher
}

var (
	quoted   = regexp.MustCompile(`"[^"]*"`)
	braces   = regexp.MustCompile(`\{[^}]*\}`)
	ranges   = regexp.MustCompile(`\[[^\]]*\]`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	word     = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\(|\{[^}]*\})?`)
	matching = regexp.MustCompile(`([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
)

// operators are words that are not metrics. promtool, in .ci/ops, checks the syntax.
var operators = []string{"and", "or", "unless", "bool", "by", "offset"}

// selectors returns the metrics in an expression.
func selectors(t *testing.T, expr string) (found []selector) {
	t.Helper()
	expr = grouping.ReplaceAllString(ranges.ReplaceAllString(expr, ""), " ")
	for _, m := range word.FindAllStringSubmatch(expr, -1) {
		if m[2] == "(" || slices.Contains(operators, m[1]) {
			continue
		}
		sel := selector{name: m[1]}
		for _, pair := range matching.FindAllStringSubmatch(m[2], -1) {
			sel.matchers = append(sel.matchers, matcher{pair[1], pair[2], pair[3]})
		}
		found = append(found, sel)
	}
	// There are as many selectors with matchers as braces.
	with := slices.DeleteFunc(slices.Clone(found), func(s selector) bool { return s.matchers == nil })
	require.Len(t, with, len(braces.FindAllString(expr, -1)), expr)
	require.NotEmpty(t, found, expr)
	return found
}

// grouped returns the labels by which an expression groups.
func grouped(expr string) (labels []string) {
	for _, m := range grouping.FindAllStringSubmatch(quoted.ReplaceAllString(expr, ""), -1) {
		labels = append(labels, regexp.MustCompile(`\w+`).FindAllString(m[1], -1)...)
	}
	return labels
}

// ofPrometheus are the labels of the scrape job.
var ofPrometheus = []string{"job", "instance"}

// values returns the values of a label.
func (s scraped) values(name, label string) (values []string) {
	for _, one := range s.samples {
		if v, ok := one.labels[label]; one.name == name && ok {
			values = append(values, v)
		}
	}
	return values
}

// problem describes a condition on an unknown label or value, or is "".
func (s scraped) problem(name string, m matcher) string {
	if slices.Contains(ofPrometheus, m.label) {
		return ""
	}
	values := s.values(name, m.label)
	if len(values) == 0 {
		return fmt.Sprintf("%s has no label %s", name, m.label)
	}
	wanted := []string{m.value}
	if strings.HasSuffix(m.op, "~") {
		wanted = strings.Split(m.value, "|")
	}
	for _, value := range wanted {
		if !slices.Contains(values, value) {
			return fmt.Sprintf("%s has no %s %q, but %v", name, m.label, value, values)
		}
	}
	return ""
}

// anyHas reports whether a sample has a label.
func (s scraped) anyHas(sels []selector, label string) bool {
	return slices.Contains(ofPrometheus, label) ||
		slices.ContainsFunc(sels, func(sel selector) bool { return len(s.values(sel.name, label)) > 0 })
}

// labels returns the labels of a family, sorted.
func (s scraped) labels(family, kind string) (labels []string) {
	if kind == "histogram" {
		family += "_count"
	}
	for _, one := range s.samples {
		if one.name != family {
			continue
		}
		for label := range one.labels {
			if !slices.Contains(labels, label) {
				labels = append(labels, label)
			}
		}
	}
	slices.Sort(labels)
	return labels
}
